// The vocabulary of the small decoder: SentencePiece pieces for text, and one symbol of its own for
// every word of the lexicon, so that a word is one token and can be scored in one step.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "records/lexicon.h"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace extrospect {

class SentencePieces {
 public:
  // Trains a unigram model on sentences, single-threaded and so the same every time. Throws Error.
  static std::string Train(const Lexicon& lexicon, const std::vector<std::string>& sentences,
                           int64_t vocabulary);

  // `model` is a serialised SentencePiece model, possibly from an untrusted file. Throws Error
  // (naming `where`) if it does not parse or lacks a symbol of the lexicon.
  SentencePieces(const Lexicon& lexicon, std::string_view model, const std::string& where);
  ~SentencePieces();

  int64_t size() const { return size_; }
  int64_t bos() const { return bos_; }
  int64_t eos() const { return eos_; }
  // The symbol of a lexicon word; of "nothing to report", −1: it is a phrase.
  int64_t SymbolOf(int64_t word) const { return symbols_[word]; }

  // Ids without begin and end. Words of the lexicon that stand by themselves become their symbols.
  std::vector<int64_t> Encode(const std::string& sentence) const;
  std::string Decode(const std::vector<int64_t>& ids) const;

 private:
  const Lexicon lexicon_;
  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
  std::vector<int64_t> symbols_;  // by word
  std::vector<int64_t> word_of_;  // by id, −1 for plain pieces
  int64_t size_ = 0, bos_ = 0, eos_ = 0;
};

// The sentence with every lexicon word that stands by itself (longest first, any case) replaced by
// "⟦index⟧", the space before it taken in.
std::string MarkWords(const Lexicon& lexicon, const std::string& sentence);

}  // namespace extrospect
