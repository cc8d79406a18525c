#include "decode/sentence_pieces.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <cctype>
#include <unordered_map>

#include "base/error.h"

namespace extrospect {
namespace {

constexpr int64_t kMaxVocabulary = 1 << 16;
constexpr size_t kMaxWordsInPhrase = 6;

std::string Symbol(int64_t word) { return "⟦" + std::to_string(word) + "⟧"; }

bool IsWordByte(char byte) {
  // Bytes of other alphabets belong to words.
  return std::isalnum(static_cast<unsigned char>(byte)) != 0 || byte == '\'' || byte == '-' ||
         static_cast<unsigned char>(byte) >= 0x80;
}

// What the SentencePiece trainer reads its sentences from.
class Sentences : public sentencepiece::SentenceIterator {
 public:
  explicit Sentences(const std::vector<std::string>& sentences) : sentences_(sentences) {}
  bool done() const override { return at_ >= sentences_.size(); }
  void Next() override { ++at_; }
  const std::string& value() const override { return sentences_[at_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  const std::vector<std::string>& sentences_;
  size_t at_ = 0;
};

std::string Lower(std::string text) {
  for (char& byte : text) {
    byte = static_cast<char>(std::tolower(static_cast<unsigned char>(byte)));
  }
  return text;
}

}  // namespace

std::string MarkWords(const Lexicon& lexicon, const std::string& sentence) {
  std::string out;
  size_t at = 0;
  while (at < sentence.size()) {
    if (!IsWordByte(sentence[at])) {
      out += sentence[at++];
      continue;
    }
    // The longest phrase of words and single spaces from here that is in the lexicon.
    size_t end = at, best_end = 0;
    int64_t best = -1;
    for (size_t words = 0; words < kMaxWordsInPhrase && end < sentence.size(); ++words) {
      if (words > 0) {
        if (sentence[end] != ' ' || end + 1 >= sentence.size() || !IsWordByte(sentence[end + 1])) {
          break;
        }
        ++end;
      }
      while (end < sentence.size() && IsWordByte(sentence[end])) ++end;
      const int64_t word = lexicon.Find(Lower(sentence.substr(at, end - at)));
      if (word >= 0 && word != lexicon.nothing()) {
        best = word;
        best_end = end;
      }
    }
    if (best >= 0) {
      if (!out.empty() && out.back() == ' ') out.pop_back();
      out += Symbol(best);
      at = best_end;
    } else {
      while (at < sentence.size() && IsWordByte(sentence[at])) out += sentence[at++];
    }
  }
  return out;
}

std::string SentencePieces::Train(const Lexicon& lexicon, const std::vector<std::string>& sentences,
                                  int64_t vocabulary) {
  std::string symbols;
  for (int64_t i = 0; i < lexicon.size(); ++i) {
    if (i != lexicon.nothing()) symbols += (symbols.empty() ? "" : ",") + Symbol(i);
  }
  std::vector<std::string> marked;
  for (const std::string& sentence : sentences) marked.push_back(MarkWords(lexicon, sentence));
  const std::unordered_map<std::string, std::string> options = {
      {"model_type", "unigram"},
      {"vocab_size", std::to_string(vocabulary + lexicon.size() + 2)},
      {"hard_vocab_limit", "false"},
      {"character_coverage", "1.0"},
      {"user_defined_symbols", symbols},
      {"normalization_rule_name", "identity"},
      {"num_threads", "1"},
      {"minloglevel", "3"},
  };
  std::string model;
  Sentences iterator(marked);
  const auto status = sentencepiece::SentencePieceTrainer::Train(options, &iterator, &model);
  if (!status.ok()) {
    throw Error("cannot train the vocabulary of the small decoder")
        .Found(status.ToString())
        .Hint("a smaller vocabulary may help; there must be descriptions to train on");
  }
  return model;
}

SentencePieces::SentencePieces(const Lexicon& lexicon, std::string_view model,
                               const std::string& where)
    : lexicon_(lexicon), processor_(std::make_unique<sentencepiece::SentencePieceProcessor>()) {
  const auto status = processor_->LoadFromSerializedProto(model);
  if (!status.ok()) {
    throw Error("cannot read the SentencePiece model").At(where).Found(status.ToString());
  }
  size_ = processor_->GetPieceSize();
  bos_ = processor_->bos_id();
  eos_ = processor_->eos_id();
  if (size_ <= 0 || size_ > kMaxVocabulary || bos_ < 0 || eos_ < 0 || bos_ >= size_ ||
      eos_ >= size_) {
    throw Error("the SentencePiece model does not fit the decoder")
        .At(where)
        .Expected("at most " + std::to_string(kMaxVocabulary) + " pieces, with begin and end");
  }
  word_of_.assign(static_cast<size_t>(size_), -1);
  for (int64_t word = 0; word < lexicon_.size(); ++word) {
    symbols_.push_back(-1);
    if (word == lexicon_.nothing()) continue;
    const std::string symbol = Symbol(word);
    const int id = processor_->PieceToId(symbol);
    if (id < 0 || id >= size_ || processor_->IdToPiece(id) != symbol) {
      throw Error("the SentencePiece model lacks a word of the lexicon")
          .At(where)
          .Found(lexicon_[word].word);
    }
    symbols_.back() = id;
    word_of_[static_cast<size_t>(id)] = word;
  }
}

SentencePieces::~SentencePieces() = default;

std::vector<int64_t> SentencePieces::Encode(const std::string& sentence) const {
  std::vector<int> ids;
  const auto status = processor_->Encode(MarkWords(lexicon_, sentence), &ids);
  if (!status.ok()) throw Error("cannot encode a sentence").Found(status.ToString());
  return {ids.begin(), ids.end()};
}

std::string SentencePieces::Decode(const std::vector<int64_t>& ids) const {
  std::string text;
  std::vector<int> plain;
  const auto flush = [&] {
    if (plain.empty()) return;
    std::string part;
    for (const int id : plain) part += processor_->IdToPiece(id);
    // "▁" stands for a space.
    for (size_t at = part.find("▁"); at != part.npos; at = part.find("▁", at)) {
      part.replace(at, 3, " ");
    }
    text += part;
    plain.clear();
  };
  for (const int64_t id : ids) {
    if (id < 0 || id >= size_ || id == bos_ || id == eos_) continue;
    const int64_t word = word_of_[static_cast<size_t>(id)];
    if (word < 0) {
      if (!processor_->IsUnknown(static_cast<int>(id)) &&
          !processor_->IsControl(static_cast<int>(id))) {
        plain.push_back(static_cast<int>(id));
      }
      continue;
    }
    flush();
    text += " " + lexicon_[word].word;
  }
  flush();
  const size_t first = text.find_first_not_of(' ');
  return first == text.npos ? "" : text.substr(first);
}

}  // namespace extrospect
