#include "model/tokenizer/bpe_tokenizer.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/hash.h"
#include "model/files/quote.h"
#include "model/tokenizer/known_pretokenizers.h"
#include "model/tokenizer/utf8.h"

namespace extrospect {
namespace {

// Of a text. Offsets have 32 bits, and normalisation can make it longer.
constexpr size_t kMaxBytes = size_t{1} << 27;
// Of all tokens, once the rules of their file are applied.
constexpr size_t kMaxVocabularyBytes = size_t{1} << 27;

std::string AtMost(size_t bytes) { return "at most " + std::to_string(bytes >> 20) + " MiB"; }

// Strings are hashed behind their length, so that no two pipelines look alike.
class PipelineHash {
 public:
  void Add(std::string_view text) {
    Add(static_cast<int64_t>(text.size()));
    hash_.Add(text);
  }
  void Add(int64_t number) { hash_.Add(std::to_string(number) + " "); }
  std::string HexDigest() { return hash_.HexDigest(); }

 private:
  Sha256 hash_;
};

std::string HashOf(const BpePipeline& pipeline) {
  const BpeRules& rules = pipeline.rules;
  PipelineHash hash;
  hash.Add("extrospect BPE tokenizer 1");
  hash.Add(pipeline.normalizer.Describe());
  hash.Add(pipeline.pretokenizer.Describe());
  hash.Add(rules.byte_level + 2 * rules.byte_fallback + 4 * rules.fuse_unknown +
           8 * rules.ignore_merges + 16 * pipeline.add_bos);
  hash.Add(rules.unknown.has_value() ? "unknown " + *rules.unknown : "");
  hash.Add(pipeline.add_bos ? pipeline.bos_id.value_or(-1) : -1);

  std::vector<const std::pair<std::string, int32_t>*> vocabulary;
  for (const auto& entry : rules.vocabulary) vocabulary.push_back(&entry);
  std::sort(vocabulary.begin(), vocabulary.end(), [](const auto* a, const auto* b) {
    return std::tie(a->second, a->first) < std::tie(b->second, b->first);
  });
  hash.Add(static_cast<int64_t>(vocabulary.size()));
  for (const auto* entry : vocabulary) {
    hash.Add(entry->second);
    hash.Add(entry->first);
  }
  hash.Add(static_cast<int64_t>(rules.merges.size()));
  for (const auto& [left, right] : rules.merges) {
    hash.Add(left);
    hash.Add(right);
  }
  hash.Add(static_cast<int64_t>(pipeline.added_tokens.size()));
  for (const AddedToken& token : pipeline.added_tokens) {
    hash.Add(token.id);
    hash.Add(token.content);
    hash.Add(token.special + 2 * token.normalized + 4 * token.single_word + 8 * token.lstrip +
             16 * token.rstrip);
  }
  return hash.HexDigest();
}

class BpeTokenizer : public Tokenizer {
 public:
  explicit BpeTokenizer(BpePipeline pipeline)
      : sha256_(HashOf(pipeline)),
        model_(pipeline.rules),
        normalizer_(std::move(pipeline.normalizer)),
        pretokenizer_(std::move(pipeline.pretokenizer)),
        decoder_(std::move(pipeline.decoder)) {
    for (auto& [token, id] : pipeline.rules.vocabulary) SetToken(id, std::move(token));
    size_t total = 0;
    const auto count = [&](size_t bytes) {
      total += bytes;
      if (total <= kMaxVocabularyBytes) return;
      throw Error("cannot use the vocabulary")
          .At("the texts of its tokens")
          .Expected(AtMost(kMaxVocabularyBytes))
          .Found("more");
    };
    for (const AddedToken& token : pipeline.added_tokens) count(AddToken(token));
    bytes_.reserve(tokens_.size());
    for (const std::string& token : tokens_) {
      count(bytes_.emplace_back(decoder_.DecodeOne(token)).size());
    }
    bos_id_ = Checked(pipeline.bos_id, "beginning");
    eos_id_ = Checked(pipeline.eos_id, "end");
    add_bos_ = pipeline.add_bos && bos_id_.has_value();
    strips_leading_space_ = pipeline.strips_leading_space;
  }

  Encoding Encode(std::string_view text, bool parse_special) const override;
  std::string TokenBytes(int32_t id) const override { return bytes_[CheckedIndex(id)]; }
  std::string Decode(std::span<const int32_t> ids, bool skip_special) const override;
  int32_t vocab_size() const override { return static_cast<int32_t>(tokens_.size()); }
  bool is_special(int32_t id) const override { return Exists(id) && special_[Index(id)]; }
  std::optional<int32_t> FindToken(std::string_view bytes) const override;
  std::string Sha256() const override { return sha256_; }

 private:
  // What one call of Encode works with.
  struct Work {
    bool parse_special;
    Encoding encoding{};
    Normalizer::Buffers normalized{};
    PretokenizedText words{};
    BpeTokens tokens{};
  };
  // A set of added tokens and their ids.
  struct Added {
    AddedTokenMatcher matcher;
    std::vector<int32_t> ids;
  };

  static size_t Index(int32_t id) { return static_cast<size_t>(id); }
  bool Exists(int32_t id) const { return id >= 0 && id < vocab_size() && exists_[Index(id)]; }
  size_t CheckedIndex(int32_t id) const {
    if (Exists(id)) return Index(id);
    throw Error("no such token in the vocabulary")
        .Expected("an id from 0 to " + std::to_string(vocab_size() - 1))
        .Found(std::to_string(id));
  }
  std::optional<int32_t> Checked(std::optional<int32_t> id, const char* what) const {
    if (!id.has_value() || Exists(*id)) return id;
    throw Error("cannot use the vocabulary")
        .At(std::string("the token for the ") + what + " of text")
        .Expected("an id of the vocabulary")
        .Found(std::to_string(*id));
  }

  void SetToken(int32_t id, std::string token) {
    if (Index(id) >= tokens_.size()) {
      tokens_.resize(Index(id) + 1);
      exists_.resize(Index(id) + 1);
      special_.resize(Index(id) + 1);
    }
    tokens_[Index(id)] = std::move(token);
    exists_[Index(id)] = true;
  }

  // Returns how many bytes are looked for.
  size_t AddToken(AddedToken token) {
    SetToken(token.id, token.content);
    added_ids_.push_back(token.id);
    if (token.special) special_[Index(token.id)] = true;
    Added& added = token.normalized ? in_normalized_ : in_raw_;
    if (token.normalized) {
      Normalizer::Buffers buffers;
      buffers.a.limit = buffers.b.limit = kMaxTokenBytes;
      token.content = normalizer_.Apply({token.content}, &buffers).text;
    }
    added.matcher.Add(token);
    added.ids.push_back(token.id);
    return token.content.size();
  }

  // Emits the ids of the added tokens that are found in `text`, and hands what lies between them to
  // `rest`.
  template <typename Rest>
  void SplitOff(const Added& added, const AlignedText& text, Work* work, const Rest& rest) const {
    std::vector<AddedTokenMatcher::Match> matches;
    added.matcher.Find(text.text, work->parse_special, &matches);
    size_t done = 0;
    for (const AddedTokenMatcher::Match& match : matches) {
      if (done < match.begin) rest(text.Sub(done, match.begin));
      work->encoding.ids.push_back(added.ids[match.token]);
      work->encoding.begin.push_back(text.Origin(match.begin));
      done = match.end;
    }
    if (done < text.text.size()) rest(text.Sub(done, text.text.size()));
  }

  void EncodeWords(const AlignedText& text, Work* work) const {
    pretokenizer_.Apply(text, &work->words);
    const AlignedText& cut = work->words.text;
    for (const auto& [begin, end] : work->words.pieces) {
      work->tokens.Clear();
      model_.Encode(cut.text.substr(begin, end - begin), &work->tokens);
      std::vector<uint32_t>& begins = work->encoding.begin;
      for (size_t i = 0; i < work->tokens.ids.size(); ++i) {
        work->encoding.ids.push_back(work->tokens.ids[i]);
        // Odd vocabularies (with some of the byte tokens only) can bring tokens out of order.
        const uint32_t origin = cut.Origin(begin + work->tokens.begin[i]);
        begins.push_back(begins.empty() ? origin : std::max(origin, begins.back()));
      }
    }
  }

  const std::string sha256_;
  const BpeModel model_;
  const Normalizer normalizer_;
  const Pretokenizer pretokenizer_;
  const TokenDecoder decoder_;

  Added in_raw_, in_normalized_;  // those looked for before and after normalisation
  std::vector<int32_t> added_ids_;
  std::vector<std::string> tokens_;  // by id, as the file has them
  std::vector<std::string> bytes_;   // by id, what they stand for
  std::vector<bool> exists_, special_;
};

Tokenizer::Encoding BpeTokenizer::Encode(std::string_view text, bool parse_special) const {
  if (text.size() > kMaxBytes) {
    throw Error("text is too long to tokenize")
        .Expected(AtMost(kMaxBytes))
        .Found(std::to_string(text.size() >> 20) + " MiB");
  }
  AlignedBuffer mended;
  AlignedText whole{text};
  if (!IsValidUtf8(text)) {
    mended.text = ReplaceInvalidUtf8(text, &mended.origins);
    whole = mended.View();
  }
  Work work{.parse_special = parse_special};
  work.encoding.ids.reserve(text.size() / 3);
  work.encoding.begin.reserve(text.size() / 3);
  SplitOff(in_raw_, whole, &work, [&](const AlignedText& section) {
    const AlignedText normalized = normalizer_.Apply(section, &work.normalized);
    SplitOff(in_normalized_, normalized, &work,
             [&](const AlignedText& rest) { EncodeWords(rest, &work); });
  });
  return std::move(work.encoding);
}

std::string BpeTokenizer::Decode(std::span<const int32_t> ids, bool skip_special) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const int32_t id : ids) {
    const size_t index = CheckedIndex(id);
    if (!skip_special || !special_[index]) tokens.push_back(tokens_[index]);
  }
  return decoder_.Decode(std::move(tokens));
}

std::optional<int32_t> BpeTokenizer::FindToken(std::string_view bytes) const {
  for (const int32_t id : added_ids_) {
    if (bytes_[Index(id)] == bytes) return id;
  }
  std::optional<int32_t> byte_token;
  for (int32_t id = 0; id < vocab_size(); ++id) {
    if (!exists_[Index(id)] || bytes_[Index(id)] != bytes) continue;
    if (!ByteOfFallbackToken(tokens_[Index(id)]).has_value()) return id;
    if (!byte_token.has_value()) byte_token = id;
  }
  return byte_token;
}

}  // namespace

std::unique_ptr<Tokenizer> MakeBpeTokenizer(BpePipeline pipeline) {
  return std::make_unique<BpeTokenizer>(std::move(pipeline));
}

std::unique_ptr<Tokenizer> MakeBpeTokenizer(const BpeVocabulary& vocabulary) {
  if (!vocabulary.types.empty() && vocabulary.types.size() != vocabulary.tokens.size()) {
    throw Error("cannot use the vocabulary")
        .At("token types")
        .Expected(std::to_string(vocabulary.tokens.size()) + ", one for each token")
        .Found(std::to_string(vocabulary.types.size()));
  }
  NamedPretokenizer named = MakeNamedPretokenizer(vocabulary.pretokenizer);
  BpePipeline pipeline;
  pipeline.normalizer = std::move(named.normalizer);
  pipeline.pretokenizer = std::move(named.pretokenizer);
  pipeline.decoder.Add(MakeByteLevelDecoder());
  pipeline.bos_id = vocabulary.bos_id;
  pipeline.eos_id = vocabulary.eos_id;
  pipeline.add_bos = vocabulary.add_bos.value_or(named.add_bos);

  BpeRules& rules = pipeline.rules;
  rules.byte_level = true;
  rules.ignore_merges = named.ignore_merges;
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    const std::string token = ReplaceInvalidUtf8(vocabulary.tokens[i]);
    const int32_t id = static_cast<int32_t>(i);
    rules.vocabulary.emplace_back(token, id);
    const TokenType type = vocabulary.types.empty() ? TokenType::kNormal : vocabulary.types[i];
    const bool special = type == TokenType::kControl || type == TokenType::kUnknown;
    if ((special || type == TokenType::kUserDefined) && !token.empty()) {
      pipeline.added_tokens.push_back({.content = token, .id = id, .special = special});
    }
  }
  for (size_t i = 0; i < vocabulary.merges.size(); ++i) {
    const std::string merge = ReplaceInvalidUtf8(vocabulary.merges[i]);
    const size_t space = merge.find(' ', 1);
    if (space == std::string::npos || space + 1 == merge.size()) {
      throw Error("cannot use the vocabulary")
          .At("merge " + std::to_string(i))
          .Expected("two tokens with a space between them")
          .Found(Quote(merge));
    }
    rules.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  return MakeBpeTokenizer(std::move(pipeline));
}

}  // namespace extrospect
