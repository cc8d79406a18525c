#include "model/tokenizer/sentencepiece_tokenizer.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/hash.h"
#include "model/files/quote.h"
#include "model/tokenizer/character_pairs.h"
#include "model/tokenizer/token_decoder.h"
#include "model/tokenizer/utf8.h"
#include "model/tokenizer/word_cache.h"

namespace extrospect {
namespace {

constexpr std::string_view kSpaceSign = "\u2581";
constexpr size_t kMaxBytes = size_t{1} << 27;
constexpr int32_t kMaxIds = 1 << 21;

void Check(const sentencepiece::util::Status& status, const char* what) {
  if (!status.ok()) throw Error(what).Found(status.ToString());
}

// What the library refuses to load, files have nevertheless: pieces that are empty, twice the same,
// or not UTF-8. They cannot be reached from text; so they become unused ones.
void MendPieces(std::vector<SentencePieceVocabulary::Piece>* pieces) {
  std::unordered_set<std::string> seen;
  for (size_t i = 0; i < pieces->size(); ++i) {
    SentencePieceVocabulary::Piece& piece = (*pieces)[i];
    if (!piece.text.empty() && IsValidUtf8(piece.text) && seen.insert(piece.text).second) continue;
    piece.text = "<unused piece " + std::to_string(i) + ">";
    piece.type = TokenType::kUnused;
    seen.insert(piece.text);
  }
}

// The character at text[*at], a space as the sign that stands for it in pieces.
char32_t NextNormalized(std::string_view text, size_t* at) {
  const char32_t character = NextCharacter(text, at);
  return character == ' ' ? 0x2581 : character;
}

class SentencePieceTokenizer : public Tokenizer {
 public:
  SentencePieceTokenizer(SentencePieceVocabulary vocabulary, const std::vector<AddedToken>& added) {
    MendPieces(&vocabulary.pieces);
    FindJoined(vocabulary);
    prefix_ = joined_ != nullptr && vocabulary.add_dummy_prefix;
    strips_leading_space_ = vocabulary.add_dummy_prefix && !vocabulary.treat_whitespace_as_suffix;
    if (prefix_) vocabulary.add_dummy_prefix = false;  // the part in front gets it here
    const std::string model = SerializeSentencePieceModel(vocabulary);
    Check(processor_.LoadFromSerializedProto(model), "cannot use a SentencePiece model");

    for (size_t i = 0; i < vocabulary.pieces.size(); ++i) {
      const SentencePieceVocabulary::Piece& piece = vocabulary.pieces[i];
      const bool special = piece.type == TokenType::kControl || piece.type == TokenType::kUnknown;
      SetToken(i, BytesOf(piece), special, piece.type == TokenType::kByte);
      if (special) {
        AddToken({.content = piece.text, .id = static_cast<int32_t>(i), .special = true});
      }
    }
    std::string properties;
    for (const AddedToken& token : added) {
      if (token.id < 0 || token.id >= kMaxIds) {
        throw Error("cannot use an added token")
            .At(Quote(token.content))
            .Expected("an id below " + std::to_string(kMaxIds))
            .Found(std::to_string(token.id));
      }
      SetToken(static_cast<size_t>(token.id), token.content, token.special, false);
      AddToken(token);
      properties += std::to_string(token.id) + " " + std::to_string(token.content.size()) + " " +
                    token.content + (token.special ? " special" : "") +
                    (token.single_word ? " word" : "") + (token.lstrip ? " left" : "") +
                    (token.rstrip ? " right" : "") + "\n";
    }
    sha256_ = Sha256Hex("extrospect SentencePiece tokenizer 1\n" + std::to_string(model.size()) +
                        "\n" + model + properties + (prefix_ ? "prefix" : "") +
                        (vocabulary.add_bos ? "bos" : ""));
    bos_id_ = Checked(vocabulary.bos_id);
    eos_id_ = Checked(vocabulary.eos_id);
    add_bos_ = vocabulary.add_bos && bos_id_.has_value();
  }

  Encoding Encode(std::string_view text, bool parse_special) const override;
  std::string TokenBytes(int32_t id) const override { return tokens_[CheckedIndex(id)].bytes; }
  std::string Decode(std::span<const int32_t> ids, bool skip_special) const override;
  int32_t vocab_size() const override { return static_cast<int32_t>(tokens_.size()); }
  bool is_special(int32_t id) const override {
    return Exists(id) && tokens_[static_cast<size_t>(id)].special;
  }
  std::optional<int32_t> FindToken(std::string_view bytes) const override;
  std::string Sha256() const override { return sha256_; }

 private:
  struct Token {
    std::string bytes;
    bool exists = false, special = false, is_byte = false;
  };

  static std::string BytesOf(const SentencePieceVocabulary::Piece& piece) {
    if (piece.type == TokenType::kByte) {
      if (const auto byte = ByteOfFallbackToken(piece.text)) return std::string(1, *byte);
    }
    if (piece.type == TokenType::kControl || piece.type == TokenType::kUnknown) return piece.text;
    std::string bytes;
    for (size_t i = 0; i < piece.text.size();) {
      const bool space = piece.text.compare(i, kSpaceSign.size(), kSpaceSign) == 0;
      bytes += space ? ' ' : piece.text[i];
      i += space ? kSpaceSign.size() : 1;
    }
    return bytes;
  }

  void SetToken(size_t id, std::string bytes, bool special, bool is_byte) {
    if (id >= tokens_.size()) tokens_.resize(id + 1);
    tokens_[id] = {std::move(bytes), true, special, is_byte};
  }
  void AddToken(const AddedToken& token) {
    matcher_.Add(token);
    added_ids_.push_back(token.id);
  }

  bool Exists(int32_t id) const {
    return id >= 0 && id < vocab_size() && tokens_[static_cast<size_t>(id)].exists;
  }
  size_t CheckedIndex(int32_t id) const {
    if (Exists(id)) return static_cast<size_t>(id);
    throw Error("no such token in the vocabulary")
        .Expected("an id from 0 to " + std::to_string(vocab_size() - 1))
        .Found(std::to_string(id));
  }
  // The format has ids for tokens that a model need not have.
  std::optional<int32_t> Checked(std::optional<int32_t> id) const {
    return id.has_value() && Exists(*id) ? id : std::nullopt;
  }

  void FindJoined(const SentencePieceVocabulary& vocabulary);
  void EncodePart(std::string_view part, uint32_t offset, Encoding* encoding) const;
  void EncodeText(std::string_view text, size_t offset, Encoding* encoding) const;

  sentencepiece::SentencePieceProcessor processor_;
  AddedTokenMatcher matcher_;
  std::vector<int32_t> added_ids_;  // by the matcher's numbers
  std::vector<Token> tokens_;       // by id
  std::string sha256_;

  // The characters that stand side by side in some piece: between any others text is cut into
  // parts, which are mostly short and known from before. Null if that would not be safe.
  std::unique_ptr<CharacterPairs> joined_;
  bool prefix_ = false;  // whether a space is put in front of the first part
  mutable WordCache cache_;
};

void SentencePieceTokenizer::FindJoined(const SentencePieceVocabulary& vocabulary) {
  // Elsewhere parts far from each other do make a difference: unigram models weigh a text as a
  // whole, and unknown characters are united.
  if (vocabulary.algorithm != SentencePieceVocabulary::Algorithm::kBpe ||
      !vocabulary.byte_fallback || vocabulary.remove_extra_whitespaces ||
      !vocabulary.escape_whitespaces || vocabulary.treat_whitespace_as_suffix) {
    return;
  }
  joined_ = std::make_unique<CharacterPairs>();
  for (const SentencePieceVocabulary::Piece& piece : vocabulary.pieces) {
    size_t at = 0;
    char32_t left = NextNormalized(piece.text, &at);
    while (at < piece.text.size()) {
      const char32_t right = NextNormalized(piece.text, &at);
      joined_->Add(left, right);
      left = right;
    }
  }
  joined_->Seal();
}

void SentencePieceTokenizer::EncodePart(std::string_view part, uint32_t offset,
                                        Encoding* encoding) const {
  if (joined_ != nullptr && cache_.Find(part, offset, encoding)) return;
  const size_t first = encoding->ids.size();
  sentencepiece::ImmutableSentencePieceText pieces;
  Check(processor_.Encode(part, pieces.mutable_proto()), "SentencePiece cannot tokenize a text");
  // Of the bytes of one character the library puts all at the character's beginning.
  uint32_t byte_of_character = 0;
  for (size_t i = 0; i < pieces.pieces_size(); ++i) {
    const auto piece = pieces.pieces(static_cast<int>(i));
    const int32_t id = static_cast<int32_t>(piece.id());
    encoding->ids.push_back(id);
    encoding->begin.push_back(offset + piece.begin() + byte_of_character);
    const bool more = tokens_[static_cast<size_t>(id)].is_byte && piece.begin() == piece.end();
    byte_of_character = more ? byte_of_character + 1 : 0;
  }
  if (joined_ != nullptr) cache_.Put(part, offset, *encoding, first);
}

void SentencePieceTokenizer::EncodeText(std::string_view text, size_t offset,
                                        Encoding* encoding) const {
  if (joined_ == nullptr) return EncodePart(text, static_cast<uint32_t>(offset), encoding);
  std::string prefixed;
  if (prefix_) text = prefixed = " " + std::string(text);
  const size_t first = encoding->begin.size();
  size_t begin = 0, at = 0;
  char32_t left = NextNormalized(text, &at);
  while (at < text.size()) {
    const size_t boundary = at;
    const char32_t right = NextNormalized(text, &at);
    if (!joined_->Contains(left, right)) {
      EncodePart(text.substr(begin, boundary - begin), static_cast<uint32_t>(begin), encoding);
      begin = boundary;
    }
    left = right;
  }
  EncodePart(text.substr(begin), static_cast<uint32_t>(begin), encoding);
  const uint32_t inserted = prefix_ ? 1 : 0;
  for (size_t i = first; i < encoding->begin.size(); ++i) {
    uint32_t& place = encoding->begin[i];
    place = static_cast<uint32_t>(offset) + place - std::min(place, inserted);
  }
}

Tokenizer::Encoding SentencePieceTokenizer::Encode(std::string_view text,
                                                   bool parse_special) const {
  if (text.size() > kMaxBytes) {
    throw Error("text is too long to tokenize")
        .Expected("at most " + std::to_string(kMaxBytes >> 20) + " MiB")
        .Found(std::to_string(text.size() >> 20) + " MiB");
  }
  std::string mended;
  std::vector<uint32_t> origins;
  if (!IsValidUtf8(text)) {
    mended = ReplaceInvalidUtf8(text, &origins);
    text = mended;
  }
  Encoding encoding;
  std::vector<AddedTokenMatcher::Match> matches;
  matcher_.Find(text, parse_special, &matches);
  size_t done = 0;
  for (const AddedTokenMatcher::Match& match : matches) {
    if (done < match.begin) EncodeText(text.substr(done, match.begin - done), done, &encoding);
    encoding.ids.push_back(added_ids_[match.token]);
    encoding.begin.push_back(static_cast<uint32_t>(match.begin));
    done = match.end;
  }
  if (done < text.size()) EncodeText(text.substr(done), done, &encoding);
  if (!origins.empty()) {
    for (uint32_t& begin : encoding.begin)
      begin = origins[std::min<size_t>(begin, origins.size() - 1)];
  }
  return encoding;
}

std::string SentencePieceTokenizer::Decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string bytes;
  bool at_start = true;
  for (const int32_t id : ids) {
    const Token& token = tokens_[CheckedIndex(id)];
    if (skip_special && token.special) continue;
    const bool strip = at_start && strips_leading_space_ && token.bytes.starts_with(' ');
    bytes += strip ? token.bytes.substr(1) : token.bytes;
    at_start = false;
  }
  return ReplaceInvalidUtf8(bytes);
}

std::optional<int32_t> SentencePieceTokenizer::FindToken(std::string_view bytes) const {
  for (const int32_t id : added_ids_) {
    if (tokens_[static_cast<size_t>(id)].bytes == bytes) return id;
  }
  std::optional<int32_t> byte_token;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    if (!tokens_[i].exists || tokens_[i].bytes != bytes) continue;
    if (!tokens_[i].is_byte) return static_cast<int32_t>(i);
    byte_token = static_cast<int32_t>(i);
  }
  return byte_token;
}

}  // namespace

std::unique_ptr<Tokenizer> MakeSentencePieceTokenizer(SentencePieceVocabulary vocabulary,
                                                      const std::vector<AddedToken>& added) {
  return std::make_unique<SentencePieceTokenizer>(std::move(vocabulary), added);
}

}  // namespace extrospect
