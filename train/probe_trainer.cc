// Fits the probe: discriminant analysis in closed form, refined by gradient on the cross-entropy.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "decode/probe.h"
#include "model/weight_file.h"
#include "train/judge.h"
#include "train/linear.h"
#include "train/loop.h"
#include "train/run.h"
#include "train/standardise.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;

// Features and targets of the two splits that fitting sees.
struct ProbeData {
  at::Tensor train, train_targets, dev, dev_targets, dev_label;
};

Judgement JudgeLogits(const Lexicon& lexicon, const at::Tensor& logits, double temperature,
                      const ProbeData& data) {
  return Judge(lexicon, at::log_softmax(logits / temperature, 1), data.dev_label, data.dev_targets);
}

// Tries all shrinkages and pulls; the winner is scaled so that its temperature on dev is 1.
LinearMap BestDiscriminant(const Lexicon& lexicon, const ProbeData& data, const Config& config,
                           MetricsLog& log) {
  const DiscriminantAnalysis analysis(lexicon, data.train, data.train_targets);
  double best = std::numeric_limits<double>::infinity();
  LinearMap best_map;
  for (const double shrinkage : config.NumberList("lda.shrinkages")) {
    for (const double pull : config.NumberList("lda.pulls")) {
      const LinearMap map = analysis.Solve(shrinkage, pull);
      const at::Tensor logits = map(data.dev);
      const double temperature = FitTemperature(logits, data.dev_targets);
      const Judgement dev = JudgeLogits(lexicon, logits, temperature, data);
      log.Add({{"event", "lda"}, {"shrinkage", shrinkage}, {"pull", pull}, {"dev", dev.ToJson()}});
      if (dev.cross_entropy < best || !best_map.weight.defined()) {
        best = dev.cross_entropy;
        best_map = {map.weight / temperature, map.bias / temperature};
      }
    }
  }
  return best_map;
}

// Cross-entropy plus a pull towards the start: how far the data may move a reading that the
// lexicon's neighbourhoods support. Classes without a training example keep their place, since
// nothing speaks for them and everything would speak against them.
class SoftmaxTrainee : public Trainee {
 public:
  SoftmaxTrainee(const Lexicon& lexicon, const ProbeData& data, const LinearMap& start,
                 const at::Tensor& targets, double anchor)
      : lexicon_(lexicon), data_(data), start_(start), targets_(targets), anchor_(anchor) {
    // Inference tensors cannot be trained.
    weight_ = at::empty_like(start.weight).copy_(start.weight).requires_grad_(true);
    bias_ = at::empty_like(start.bias).copy_(start.bias).requires_grad_(true);
    unseen_ = targets_.sum(0) == 0;
  }

  std::vector<Parameter> Parameters() const override {
    return {{"weight", weight_}, {"bias", bias_}};
  }
  at::Tensor Loss(int64_t, int64_t) override {
    const at::Tensor logits = at::addmm(bias_, data_.train, weight_.t())
                                  .masked_fill(unseen_, -std::numeric_limits<float>::infinity());
    const at::Tensor log_p = at::log_softmax(logits, 1).masked_fill(unseen_, 0);
    return -(log_p * targets_).sum(1).mean() + (weight_ - start_.weight).square().sum() * anchor_;
  }
  Evaluation Evaluate() override {
    const at::NoGradGuard no_grad;
    const at::Tensor logits = Map()(data_.dev);
    const double temperature = FitTemperature(logits, data_.dev_targets);
    const Judgement dev = JudgeLogits(lexicon_, logits, temperature, data_);
    return {-dev.cross_entropy, dev.ToJson()};
  }
  LinearMap Map() const { return {weight_.detach(), bias_.detach()}; }

 private:
  const Lexicon& lexicon_;
  const ProbeData& data_;
  LinearMap start_;
  at::Tensor targets_, weight_, bias_, unseen_;
  double anchor_;
};

// Moves a share of every target to the words near it.
at::Tensor SpreadOverNear(const Lexicon& lexicon, const at::Tensor& targets, double share) {
  if (share == 0) return targets.clone();
  at::Tensor near =
      at::zeros({lexicon.size(), lexicon.size()}, at::TensorOptions(at::kFloat).device(at::kCPU));
  for (int64_t i = 0; i < lexicon.size(); ++i) {
    for (int64_t j = 0; j < lexicon.size(); ++j) {
      if (i != j && lexicon.IsNear(i, j)) {
        near.data_ptr<float>()[i * lexicon.size() + j] = static_cast<float>(share);
      }
    }
  }
  const at::Tensor sum = near.sum(1, /*keepdim=*/true);
  near = near / sum.clamp_min(1e-9) * share;
  near.diagonal().copy_(1 - near.sum(1));
  return at::mm(targets, near.to(targets.device()));
}

// Valence and arousal of every row's label, [n, 2].
at::Tensor AffectTargets(const Lexicon& lexicon, const at::Tensor& targets) {
  at::Tensor values =
      at::empty({lexicon.size(), 2}, at::TensorOptions(at::kFloat).device(at::kCPU));
  for (int64_t i = 0; i < lexicon.size(); ++i) {
    values.data_ptr<float>()[2 * i] = static_cast<float>(lexicon[i].valence);
    values.data_ptr<float>()[2 * i + 1] = static_cast<float>(lexicon[i].arousal);
  }
  return at::mm(targets, values.to(targets.device()));
}

double MeanSquare(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).square().mean().item<double>();
}

}  // namespace

std::unique_ptr<Decoder> TrainProbe(const TrainingRun& run, TrainingData& training, MetricsLog& log,
                                    ordered_json& body) {
  const Lexicon& lexicon = training.lexicon();
  const Config& config = run.config;
  const at::Tensor raw = training.Rows("train").flatten(1);
  const Standardiser standardise(raw);
  const ProbeData data = {standardise(raw), training.Targets("train"),
                          standardise(training.Rows("dev").flatten(1)), training.Targets("dev"),
                          training.Labels("dev")};

  const std::string solver = config.Text("solver");
  const int64_t features = data.train.size(1);
  LinearMap map = {at::zeros({lexicon.size(), features}, data.train.options()),
                   at::zeros({lexicon.size()}, data.train.options())};
  if (solver != "softmax") map = BestDiscriminant(lexicon, data, config, log);
  int64_t steps = 0;
  if (solver != "lda") {
    const at::Tensor targets =
        SpreadOverNear(lexicon, data.train_targets, config.Number("softmax.near_share"));
    SoftmaxTrainee trainee(lexicon, data, map, targets, config.Number("softmax.anchor"));
    LoopOptions options;
    options.name = "softmax";
    options.steps = config.Integer("softmax.steps");
    options.eval_every = config.Integer("softmax.eval_every");
    options.patience = config.Integer("softmax.patience");
    options.checkpoint_every = config.Integer("checkpoint_every");
    options.adamw.learning_rate = config.Number("softmax.learning_rate");
    options.folder = run.output;
    options.resume = run.resume;
    options.fingerprint = training.fingerprint;
    options.progress = run.progress;
    steps = RunTraining(trainee, options, log).best_step;
    map = trainee.Map();
  }

  // Valence and arousal directly, and how much of that to believe.
  const at::Tensor affect = AffectTargets(lexicon, data.train_targets);
  const at::Tensor dev_affect = AffectTargets(lexicon, data.dev_targets);
  LinearMap affect_map;
  double least = std::numeric_limits<double>::infinity(), best_ridge = 0;
  for (const double ridge : config.NumberList("affect.ridges")) {
    const LinearMap candidate = RidgeRegression(data.train, affect, ridge);
    const double error = MeanSquare(candidate(data.dev), dev_affect);
    if (error < least || !affect_map.weight.defined()) {
      least = error;
      best_ridge = ridge;
      affect_map = candidate;
    }
  }
  const at::Tensor dev_logits = map(data.dev);
  DecoderInfo& info = training.info;
  Calibrate(info, dev_logits, training, config, log);
  double best_error = std::numeric_limits<double>::infinity(), best_share = 0;
  for (const double share : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    info.regression_share = share;
    const Scores scores = ScoresOf(info, dev_logits, affect_map(data.dev));
    const double error = MeanSquare(at::stack({scores.valence, scores.arousal}, 1), dev_affect);
    if (error < best_error) {
      best_error = error;
      best_share = share;
    }
  }
  info.regression_share = best_share;
  log.Add({{"event", "affect"},
           {"ridge", best_ridge},
           {"regression_share", best_share},
           {"dev_rmse", std::sqrt(best_error)}});

  ProbeWeights weights = {standardise.mean, standardise.scale, map.weight,
                          map.bias,         affect_map.weight, affect_map.bias};
  std::error_code ignored;
  std::filesystem::remove(run.output / "decoder.json", ignored);
  SaveTensors(run.output / "weights.safetensors", weights.Named());
  body = {{"normalisation", "standardise"}, {"solver", solver}, {"softmax_steps", steps}};
  return std::make_unique<Probe>(info, std::move(weights));
}

}  // namespace extrospect
