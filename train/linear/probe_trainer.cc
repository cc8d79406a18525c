// The probe: its linear reading, valence and arousal, calibration, and its folder.
#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "decode/probe.h"
#include "model/weights/weight_file.h"
#include "train/judge.h"
#include "train/linear/linear.h"
#include "train/linear/probe_fit.h"
#include "train/linear/standardise.h"
#include "train/run.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;

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

// How far the scores lean towards rare classes: subtracts strength · log p(class), of the training
// rows, from calibrated scores (Menon et al. 2021, "Long-tail learning via logit adjustment"), with
// the strength that gives the best macro-F1 on dev. The first one stays unless another is better.
double AdjustPriors(const Lexicon& lexicon, const ProbeData& data, const Config& config,
                    ProbeWeights& weights, MetricsLog& log) {
  const at::Tensor logits = weights.Logits(data.dev);
  const double temperature = FitTemperature(logits, data.dev_targets);
  const at::Tensor share = data.train_targets.mean(0);
  const at::Tensor log_prior = share.clamp_min(1e-12).log().masked_fill(share == 0, 0);
  double best = -1, strength = 0;
  for (const double candidate : config.NumberList("prior_adjustments")) {
    const Judgement dev =
        JudgeLogits(lexicon, logits / temperature - log_prior * candidate, 1.0, data);
    log.Add({{"event", "prior_adjustment"}, {"strength", candidate}, {"dev", dev.ToJson()}});
    if (dev.macro_f1 > best) {
      best = dev.macro_f1;
      strength = candidate;
    }
  }
  weights.bias = weights.bias - log_prior * (strength * temperature);
  return strength;
}

double MeanSquare(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).square().mean().item<double>();
}

}  // namespace

std::unique_ptr<Decoder> TrainProbe(const TrainingRun& run, TrainingData& training, MetricsLog& log,
                                    ordered_json& body) {
  const Lexicon& lexicon = training.lexicon();
  const Config& config = run.config;
  const ProbeData raw = ProbeDataOf(training.rows);
  const Standardiser standardise(raw.train);
  const ProbeData data = Standardised(raw, standardise);

  LoopOptions loop;
  loop.folder = run.output;
  loop.resume = run.resume;
  loop.fingerprint = training.fingerprint;
  loop.progress = run.progress;
  ProbeFit fit = FitProbe(lexicon, data, config, loop, log);
  ProbeWeights& weights = fit.weights;
  const double adjustment = AdjustPriors(lexicon, data, config, weights, log);

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
  const at::Tensor dev_logits = weights.Logits(data.dev);
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

  weights.mean = standardise.mean;
  weights.scale = standardise.scale;
  weights.affect_weight = affect_map.weight;
  weights.affect_bias = affect_map.bias;
  std::error_code ignored;
  std::filesystem::remove(run.output / "decoder.json", ignored);
  SaveTensors(run.output / "weights.safetensors", weights.Named());
  body = {{"normalisation", "standardise"},
          {"solver", config.Text("solver")},
          {"softmax_steps", fit.best_step},
          {"prior_adjustment", adjustment}};
  if (weights.hidden_weight.defined()) body["hidden"] = weights.hidden_weight.size(0);
  return std::make_unique<Probe>(info, std::move(weights));
}

}  // namespace extrospect
