#include "train/linear/token_attention.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "base/interrupt.h"
#include "base/progress.h"
#include "model/index_tensor.h"
#include "train/linear/stacked_reading.h"
#include "train/linear/standardise.h"
#include "train/loop/adamw.h"
#include "train/loop/epochs.h"

namespace extrospect {
namespace {

constexpr int64_t kFolds = 5;
// Transcripts whose tokens tell how much every feature varies.
constexpr int64_t kScaleTranscripts = 256;

// The tokens of the training transcripts, by their place in the split.
class TrainingTokens {
 public:
  TrainingTokens(const ActivationReader& reader, const LabelledTranscripts& transcripts,
                 const RowSource& source, at::Device device)
      : reader_(reader), hooks_(source.hooks), device_(device) {
    std::vector<int64_t> example_of_row;
    plan_ = PlanLabelledRows(reader, transcripts, source, example_of_row);
    for (size_t row = 0; row < plan_.rows.size(); ++row) {
      const Example& example = transcripts.examples()[static_cast<size_t>(example_of_row[row])];
      if (example.split != "train") continue;
      places_.push_back(row);
      situations_.push_back(example.situation);
    }
  }

  int64_t size() const { return static_cast<int64_t>(places_.size()); }
  // Whether some transcript has more than one.
  bool several() const {
    return std::any_of(places_.begin(), places_.end(),
                       [this](size_t row) { return plan_.rows[row].sources.size() > 1; });
  }
  const std::vector<std::string>& situations() const { return situations_; }

  // [tokens, hooks · d_model] float32.
  at::Tensor operator[](int64_t row) const {
    return LoadSources(reader_, plan_.rows[places_[static_cast<size_t>(row)]], hooks_)
        .flatten(1)
        .to(device_);
  }

 private:
  const ActivationReader& reader_;
  const std::vector<std::string>& hooks_;
  at::Device device_;
  RowPlan plan_;
  std::vector<size_t> places_;  // rows of the plan
  std::vector<std::string> situations_;
};

// 1 / standard deviation of every feature over the tokens of some transcripts: in such units one
// learning rate suits all features.
at::Tensor TokenScale(const TrainingTokens& tokens) {
  const int64_t n = std::min(tokens.size(), kScaleTranscripts);
  std::vector<at::Tensor> some;
  for (int64_t i = 0; i < n; ++i) some.push_back(tokens[i * tokens.size() / n]);
  return Standardiser(at::cat(some)).scale;
}

}  // namespace

std::vector<ConfigOption> TokenAttentionOptions() {
  return {
      {.name = "attention.turns",
       .value = 2,
       .help = "pool attention: how often reading and query are fitted in turn",
       .min = 1,
       .max = 100},
      {.name = "attention.epochs",
       .value = 1,
       .help = "passes over the training transcripts in a turn",
       .min = 1,
       .max = 1000},
      {.name = "attention.batch",
       .value = 32,
       .help = "transcripts in a step",
       .min = 1,
       .max = 1e6},
      {.name = "attention.learning_rate",
       .value = 0.0005,
       .help = "of the query, for features of standard deviation 1; falls linearly to 0",
       .min = 0,
       .max = 10},
  };
}

RowSet FitTokenAttention(const ActivationReader& reader, const LabelledTranscripts& transcripts,
                         const Config& config, at::Device device, const Ranks& ranks,
                         RowSource& source, MetricsLog& log, std::FILE* stream) {
  const TrainingTokens tokens(reader, transcripts, source, device);
  if (!tokens.several()) {
    source.pool = TokenPool().name();
    return LoadRowSet(reader, transcripts, source, device);
  }
  const at::Tensor scale = TokenScale(tokens);
  at::Tensor query = at::zeros_like(scale).requires_grad_(true);
  AdamWOptions options;
  options.learning_rate = config.Number("attention.learning_rate");
  AdamW optimiser({{"query", query}}, options);

  const int64_t turns = config.Integer("attention.turns");
  const int64_t batch = std::min(config.Integer("attention.batch"), tokens.size());
  const int64_t steps_a_turn =
      std::max<int64_t>(1, config.Integer("attention.epochs") * tokens.size() / batch);
  const int64_t steps = turns * steps_a_turn;
  Epochs epochs(static_cast<uint64_t>(config.Integer("seed")), "attention/epoch", tokens.size());
  Progress progress("attention", "steps", steps, stream);

  RowSource tried = source, best = source;
  tried.token_pool = TokenPool();
  RowSet best_rows;
  std::optional<double> least;
  int64_t step = 0;
  for (int64_t turn = 0;; ++turn) {
    RowSet rows = LoadRowSet(reader, transcripts, tried, device);
    const ProbeData data = ProbeDataOf(rows);
    const StackedReading reading(transcripts.lexicon(), data,
                                 FoldsBySituation(tokens.situations(), kFolds), log);
    const Judgement dev =
        JudgeLogits(transcripts.lexicon(), reading.map()(data.dev), /*temperature=*/1.0, data);
    log.Add({{"event", "attention"}, {"turn", turn}, {"dev", dev.ToJson()}});
    if (!least || dev.cross_entropy < *least) {
      least = dev.cross_entropy;
      best = tried;
      best_rows = std::move(rows);
    }
    if (turn == turns) break;
    for (int64_t i = 0; i < steps_a_turn; ++i, ++step) {
      ThrowIfInterrupted("nothing was trained yet; run it again");
      const std::vector<int64_t> members = epochs.Step(step, batch);
      std::vector<at::Tensor> pooled;
      for (const int64_t member : members) pooled.push_back(Attend(tokens[member], query * scale));
      const at::Tensor log_p = at::log_softmax(reading.HeldOut(at::stack(pooled), members), 1);
      const at::Tensor targets = data.train_targets.index_select(0, IndexTensor(members, device));
      const at::Tensor loss = -(log_p * targets).sum(1).mean();
      loss.backward();
      optimiser.Step(LearningRateFactor(Schedule::kLinear, step, steps, /*warmup=*/0));
      progress.Add(1);
    }
    const at::NoGradGuard no_grad;
    const at::Tensor flat = (query * scale).to(at::kCPU);
    ranks.Broadcast(std::as_writable_bytes(
        std::span(flat.mutable_data_ptr<float>(), static_cast<size_t>(flat.numel()))));
    tried.token_pool = TokenPool(flat.view({static_cast<int64_t>(source.hooks.size()), -1}));
  }
  source = best;
  source.pool = best.token_pool.name();
  return best_rows;
}

}  // namespace extrospect
