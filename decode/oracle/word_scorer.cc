#include "decode/oracle/word_scorer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "base/error.h"

namespace extrospect {
namespace {

// Rows of logits that are in memory at a time: at a vocabulary of 50,000, 100 MB.
constexpr int64_t kLogitRows = 512;

// The tokens of `answer` + " " + word that come after those of `answer`.
std::vector<int32_t> TokensAfter(const Tokenizer& tokenizer, const std::string& answer,
                                 const std::string& word) {
  const std::vector<int32_t> before = tokenizer.Encode(answer, false).ids;
  const std::vector<int32_t> both = tokenizer.Encode(answer + " " + word, false).ids;
  const auto [end, rest] = std::mismatch(before.begin(), before.end(), both.begin(), both.end());
  if (end != before.end() || rest == both.end()) {
    throw Error("a word cannot be told from the text before it by its tokens")
        .At("'" + answer + " " + word + "'")
        .Hint("end the answer's beginning with a whole word");
  }
  return {rest, both.end()};
}

}  // namespace

WordScorer::WordScorer(const LanguageModel& model, const std::string& answer,
                       const std::vector<std::string>& words, const WordContext& reference,
                       const WordScorerOptions& options)
    : model_(model), options_(options), n_words_(words.size()) {
  std::map<std::vector<int32_t>, int64_t> nodes = {{{}, 0}};
  std::map<int32_t, std::vector<int64_t>> words_by_token;
  std::map<int32_t, int64_t> places;  // of tokens in probabilities_
  std::vector<int32_t> distinct;
  steps_.resize(1);
  for (size_t word = 0; word < words.size(); ++word) {
    const std::vector<int32_t> tokens = TokensAfter(*model.tokenizer, answer, words[word]);
    if (tokens.size() > 1) words_by_token[tokens.front()].push_back(static_cast<int64_t>(word));
    std::vector<int32_t> path;
    for (const int32_t token : tokens) {
      const auto [node, is_new] = nodes.emplace(path, n_nodes_);
      if (is_new) {
        ++n_nodes_;
        steps_.emplace_back();
      }
      const auto place = places.emplace(token, static_cast<int64_t>(distinct.size()));
      if (place.second) distinct.push_back(token);
      steps_[node->second].push_back(
          {node->second, place.first->second, static_cast<int64_t>(word)});
      path.push_back(token);
    }
  }
  probabilities_.emplace(*model.transformer, distinct);
  // Longest paths first; a node belongs to the first chain that passes it.
  std::vector<std::vector<int32_t>> paths;
  for (const auto& [path, node] : nodes) {
    if (!path.empty()) paths.push_back(path);
  }
  std::stable_sort(paths.begin(), paths.end(),
                   [](const auto& a, const auto& b) { return a.size() > b.size(); });
  std::vector<bool> placed(n_nodes_);
  for (const std::vector<int32_t>& path : paths) {
    if (placed[nodes.at(path)]) continue;
    Chain& chain = chains_.emplace_back();
    chain.tokens = path;
    for (size_t length = 1; length <= path.size(); ++length) {
      const auto node = nodes.find({path.begin(), path.begin() + static_cast<ptrdiff_t>(length)});
      if (node == nodes.end() || placed[node->second]) continue;
      placed[node->second] = true;
      chain.rows.push_back(static_cast<int64_t>(length) - 1);
      chain.nodes.push_back(node->second);
    }
  }
  for (const auto& [token, members] : words_by_token) {
    Group& group = groups_.emplace_back();
    group.token = token;
    group.words = members;
    for (size_t i = 0; i < chains_.size(); ++i) {
      if (chains_[i].tokens.front() == token) group.chains.push_back(i);
    }
  }
  reference_ = Score(std::span(&reference, 1), -1).front();
}

std::vector<WordScores> WordScorer::Score(std::span<const WordContext> contexts) const {
  return Score(contexts, options_.tails);
}

std::vector<WordScores> WordScorer::Score(std::span<const WordContext> contexts,
                                          int64_t tails) const {
  std::vector<WordScores> scores(contexts.size());
  size_t first = 0;
  while (first < contexts.size()) {
    size_t last = first;
    int64_t tokens = 0;
    while (last < contexts.size()) {
      tokens += static_cast<int64_t>(contexts[last].tokens.size());
      if (last > first && tokens > options_.batch_tokens) break;
      ++last;
    }
    const auto part = contexts.subspan(first, last - first);
    const auto part_scores = std::span(scores).subspan(first, last - first);
    std::vector<std::shared_ptr<KvSegment>> segments;
    ScoreFirst(part, part_scores, segments);
    ScoreTails(part, tails, part_scores, segments);
    first = last;
  }
  return scores;
}

void WordScorer::ScoreFirst(std::span<const WordContext> contexts, std::span<WordScores> scores,
                            std::vector<std::shared_ptr<KvSegment>>& segments) const {
  const Transformer& transformer = *model_.transformer;
  std::vector<Sequence> sequences;
  ForwardOptions forward;
  forward.adapter = options_.adapter;
  int64_t row = -1;
  std::vector<int64_t> injected, last;
  std::vector<at::Tensor> vectors;
  for (const WordContext& context : contexts) {
    const auto n = static_cast<int64_t>(context.tokens.size());
    if (context.vectors.defined()) {
      for (int64_t k = 0; k < context.vectors.size(0); ++k) injected.push_back(row + 1 + k);
      vectors.push_back(context.vectors);
    }
    segments.push_back(chains_.empty() ? nullptr : transformer.MakeSegment(n));
    sequences.push_back({context.tokens, context.past, segments.back()});
    last.push_back(row += n);
  }
  forward.sequences = sequences;
  if (!injected.empty()) {
    forward.injections.push_back(InjectAt(options_.site, injected, at::cat(vectors)));
  }
  const at::Tensor log_p =
      probabilities_->Log(transformer.Forward(forward).residual, last).to(at::kCPU);
  const float* const values = log_p.const_data_ptr<float>();
  for (size_t i = 0; i < contexts.size(); ++i) {
    scores[i].first.assign(n_words_, 0.0);
    scores[i].in_full.assign(n_words_, 1);
    for (const Step& step : steps_.front()) {
      scores[i].first[step.word] = values[static_cast<int64_t>(i) * log_p.size(1) + step.token];
    }
    scores[i].log_p = scores[i].first;
  }
}

std::vector<size_t> WordScorer::LikelyGroups(const WordScores& scores, int64_t tails) const {
  std::vector<size_t> groups(groups_.size());
  std::iota(groups.begin(), groups.end(), size_t{0});
  if (tails < 0 || static_cast<size_t>(tails) >= groups.size()) return groups;
  const auto first = [&](size_t group) { return scores.first[groups_[group].words.front()]; };
  std::stable_sort(groups.begin(), groups.end(),
                   [&](size_t a, size_t b) { return first(a) > first(b); });
  groups.resize(static_cast<size_t>(tails));
  return groups;
}

void WordScorer::ScoreTails(std::span<const WordContext> contexts, int64_t tails,
                            std::span<WordScores> scores,
                            const std::vector<std::shared_ptr<KvSegment>>& segments) const {
  if (chains_.empty()) return;
  const Transformer& transformer = *model_.transformer;
  // One row of logits of a forward pass: where it comes from.
  struct Row {
    size_t context;
    int64_t node;
  };
  size_t next = 0;
  while (next < contexts.size()) {
    std::vector<Sequence> sequences;
    std::vector<Row> origin;
    ForwardOptions forward;
    forward.adapter = options_.adapter;
    int64_t row = 0;
    std::vector<int64_t> wanted;
    for (; next < contexts.size() && static_cast<int64_t>(origin.size()) < kLogitRows; ++next) {
      std::vector<std::shared_ptr<const KvSegment>> past = contexts[next].past;
      past.push_back(segments[next]);
      std::vector<uint8_t>& in_full = scores[next].in_full;
      for (const Group& group : groups_) {
        for (const int64_t word : group.words) in_full[word] = 0;
      }
      for (const size_t index : LikelyGroups(scores[next], tails)) {
        for (const int64_t word : groups_[index].words) in_full[word] = 1;
        for (const size_t place : groups_[index].chains) {
          const Chain& chain = chains_[place];
          sequences.push_back({chain.tokens, past, nullptr});
          for (size_t k = 0; k < chain.rows.size(); ++k) {
            wanted.push_back(row + chain.rows[k]);
            origin.push_back({next, chain.nodes[k]});
          }
          row += static_cast<int64_t>(chain.tokens.size());
        }
      }
      for (const Group& group : groups_) {
        for (const int64_t word : group.words) {
          if (!in_full[word]) {
            scores[next].log_p[word] += reference_.log_p[word] - reference_.first[word];
          }
        }
      }
    }
    if (origin.empty()) continue;
    forward.sequences = sequences;
    const at::Tensor log_p =
        probabilities_->Log(transformer.Forward(forward).residual, wanted).to(at::kCPU);
    const float* values = log_p.const_data_ptr<float>();
    for (const Row& from : origin) {
      for (const Step& step : steps_[from.node]) {
        scores[from.context].log_p[step.word] += values[step.token];
      }
      values += log_p.size(1);
    }
  }
}

}  // namespace extrospect
