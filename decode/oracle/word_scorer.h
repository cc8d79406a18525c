// How probable a model holds each of many words as the continuation of a text.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "decode/oracle/injection_site.h"
#include "model/forward/token_probabilities.h"
#include "model/model.h"

namespace extrospect {

// What the words continue: new tokens (at least one) after a past.
struct WordContext {
  std::vector<int32_t> tokens;
  std::vector<std::shared_ptr<const KvSegment>> past;
  // [k, d_model], injected at the first k tokens by the scorer's site; undefined: nothing is.
  at::Tensor vectors = {};
};

struct WordScorerOptions {
  // The number of first tokens, the most probable in a context, for which tails are scored there;
  // −1: all.
  int64_t tails = -1;
  int64_t batch_tokens = 4096;
  const AdapterPass* adapter = nullptr;  // null: the model as it is; must outlive the scorer
  InjectionSite site = {};               // of the contexts' vectors
};

// Scores of all words in one context. A word's first token is always scored in its context; the
// others (its tail) where the word stood a chance, and else under the reference context.
struct WordScores {
  std::vector<double> log_p;     // of the whole word
  std::vector<double> first;     // of the first token
  std::vector<uint8_t> in_full;  // whether the tail was scored in this context too
};

// Scores words by the sum of their tokens' log-probabilities. Words that begin with the same tokens
// share them: the words form a trie, each inner node of which costs one token once per context.
class WordScorer {
 public:
  // `answer` is the text right before the words ("I feel"), with which they are tokenized.
  // `reference` is a context without content, where tails are scored once.
  WordScorer(const LanguageModel& model, const std::string& answer,
             const std::vector<std::string>& words, const WordContext& reference,
             const WordScorerOptions& options);

  std::vector<WordScores> Score(std::span<const WordContext> contexts) const;

  // Scores in the reference context.
  const WordScores& reference() const { return reference_; }
  // The number of first tokens that have a tail.
  int64_t n_groups() const { return static_cast<int64_t>(groups_.size()); }

 private:
  // A run of tokens that some word continues; the rows of it whose logits are wanted.
  struct Chain {
    std::vector<int32_t> tokens;
    std::vector<int64_t> rows;   // places in `tokens`
    std::vector<int64_t> nodes;  // the node at each of these rows
  };
  // One step of a word: its next token after a node. Node 0 is the context itself.
  struct Step {
    int64_t node = 0;
    int64_t token = 0;  // its place in probabilities_
    int64_t word = 0;
  };

  // The chains that begin with one token, and the words that they serve.
  struct Group {
    int32_t token = 0;
    std::vector<size_t> chains;
    std::vector<int64_t> words;
  };

  std::vector<WordScores> Score(std::span<const WordContext> contexts, int64_t tails) const;
  void ScoreFirst(std::span<const WordContext> contexts, std::span<WordScores> scores,
                  std::vector<std::shared_ptr<KvSegment>>& segments) const;
  void ScoreTails(std::span<const WordContext> contexts, int64_t tails,
                  std::span<WordScores> scores,
                  const std::vector<std::shared_ptr<KvSegment>>& segments) const;
  // The groups whose first tokens are the most probable.
  std::vector<size_t> LikelyGroups(const WordScores& scores, int64_t tails) const;

  const LanguageModel& model_;
  WordScorerOptions options_;
  size_t n_words_ = 0;
  int64_t n_nodes_ = 1;
  std::vector<Chain> chains_;
  std::vector<std::vector<Step>> steps_;  // by node
  std::vector<Group> groups_;
  std::optional<TokenProbabilities> probabilities_;  // of all tokens that words are made of
  WordScores reference_;
};

}  // namespace extrospect
