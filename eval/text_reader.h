// Readers that never see an activation: the same model shown the plain text, a bag of words, and
// the frequencies of the labels alone.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "decode/oracle/word_scorer.h"
#include "model/model.h"
#include "records/lexicon.h"
#include "records/transcripts.h"

namespace extrospect {

// Asks the model, as a third party, what the holder of a transcript feels.
class TextReader {
 public:
  // `tails`: see WordScorer.
  TextReader(const LanguageModel& model, const Lexicon& lexicon, int64_t tails,
             int64_t batch_tokens);

  struct Answer {
    std::vector<double> raw;  // scores of the classes: log p(word)
    std::vector<double> pmi;  // minus log p(word) under an empty text: what the text adds
  };
  std::vector<Answer> Read(std::span<const Transcript* const> transcripts) const;

 private:
  // The question about a text; of one that is too long for the model's context, about its end.
  WordContext ContextOf(const std::string& text, const std::string& holder) const;
  std::vector<int32_t> PromptTokens(const std::string& text, const std::string& holder) const;

  const LanguageModel& model_;
  const Lexicon& lexicon_;
  std::map<std::string, WordScorer> scorers_;  // by holder; the reference is an empty text
};

// Multinomial naive Bayes over lower-case words with add-one smoothing, learnt from transcripts and
// their emotions. What a reader of single words can know.
class BagOfWords {
 public:
  BagOfWords(const Lexicon& lexicon, std::span<const Transcript* const> train);
  // Class scores log p(class) + Σ log p(word | class), divided by the square root of the number of
  // words: naive Bayes counts dependent words as independent.
  std::vector<double> Scores(const Transcript& transcript) const;
  // log p(class) alone.
  const std::vector<double>& prior() const { return prior_; }

 private:
  std::vector<double> prior_;
  std::map<std::string, int64_t> words_;
  std::vector<std::vector<float>> log_p_;  // by word and class
};

// Lower-case words of ASCII letters and apostrophes, of all turns.
std::vector<std::string> WordsOf(const Transcript& transcript);

}  // namespace extrospect
