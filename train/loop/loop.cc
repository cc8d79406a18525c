#include "train/loop/loop.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <span>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "model/weights/weight_file.h"
#include "train/loop/shared_step.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;

constexpr char kCheckpointName[] = "checkpoint.safetensors";

// Everything that changes from step to step. Its numbers travel as JSON in the metadata of the
// checkpoint file, so that a checkpoint is one file and replaced as one.
struct LoopState {
  int64_t step = 0;  // taken so far
  int64_t best_step = 0;
  double best_score = -std::numeric_limits<double>::infinity();
  int64_t since_best = 0;  // evaluations
  double loss_sum = 0.0;   // since the last evaluation
  int64_t loss_count = 0;
  std::map<std::string, at::Tensor> best;
};

std::map<std::string, at::Tensor> Copy(const std::vector<Parameter>& parameters) {
  std::map<std::string, at::Tensor> copies;
  for (const Parameter& parameter : parameters) {
    copies[parameter.name] = parameter.value.detach().clone();
  }
  return copies;
}

// The checkpoint and the metrics up to it; rank 0 writes for all.
void Save(const LoopOptions& options, const LoopState& state, const AdamW& optimiser,
          const MetricsLog& log) {
  if (!options.ranks.first() || options.folder.empty()) return;
  std::map<std::string, at::Tensor> tensors;
  for (const Parameter& parameter : optimiser.parameters()) {
    tensors["parameter." + parameter.name] = parameter.value;
  }
  for (const auto& [name, tensor] : optimiser.State()) tensors["adamw." + name] = tensor;
  for (const auto& [name, tensor] : state.best) tensors["best." + name] = tensor;
  const ordered_json numbers = {
      {"fingerprint", options.fingerprint},   {"step", state.step},
      {"best_step", state.best_step},         {"best_score", state.best_score},
      {"since_best", state.since_best},       {"loss_sum", state.loss_sum},
      {"loss_count", state.loss_count},       {"adamw_steps", optimiser.steps()},
      {"adamw_skipped", optimiser.skipped()}, {"metrics", log.objects()}};
  SaveTensors(options.folder / kCheckpointName, tensors, {{"state", numbers.dump()}});
  log.Flush();
}

void Load(const LoopOptions& options, LoopState& state, AdamW& optimiser, MetricsLog& log) {
  const std::filesystem::path path = options.folder / kCheckpointName;
  const SafetensorsFile file(path);
  ordered_json numbers;
  try {
    numbers = ordered_json::parse(file.metadata().at("state"));
    if (numbers.at("fingerprint") != options.fingerprint) {
      throw Error("the checkpoint is of another run: configuration or data have changed")
          .At(path.string())
          .Hint("train without --resume, or into another folder");
    }
    state.step = numbers.at("step").get<int64_t>();
    state.best_step = numbers.at("best_step").get<int64_t>();
    state.best_score = numbers.at("best_score").get<double>();
    state.since_best = numbers.at("since_best").get<int64_t>();
    state.loss_sum = numbers.at("loss_sum").get<double>();
    state.loss_count = numbers.at("loss_count").get<int64_t>();
    log.Restore(numbers.at("metrics"));
  } catch (const ordered_json::exception& error) {
    throw Error("the checkpoint is damaged").At(path.string()).Found(error.what());
  } catch (const std::out_of_range&) {
    throw Error("the checkpoint is damaged").At(path.string()).Expected("a state");
  }
  const at::NoGradGuard no_grad;
  std::map<std::string, at::Tensor> moments;
  for (const Parameter& parameter : optimiser.parameters()) {
    const std::vector<int64_t> shape = parameter.value.sizes().vec();
    const auto load = [&](const std::string& name) {
      return LoadTensor(file, name, shape, parameter.value.device());
    };
    at::Tensor value = parameter.value;
    value.copy_(load("parameter." + parameter.name));
    state.best[parameter.name] = load("best." + parameter.name);
    for (const char* const moment : {".m", ".v"}) {
      moments[parameter.name + moment] = load("adamw." + parameter.name + moment);
    }
  }
  optimiser.Restore(moments, numbers.value("adamw_steps", int64_t{0}),
                    numbers.value("adamw_skipped", int64_t{0}));
}

// Throws unless all ranks are where rank 0 is.
void AgreeOnStart(const LoopOptions& options, const LoopState& state) {
  if (!options.ranks.several()) return;
  double step = static_cast<double>(state.step);
  options.ranks.Broadcast(std::span(&step, 1));
  if (static_cast<int64_t>(step) != state.step) {
    throw Error("the ranks do not see the same checkpoint")
        .At((options.folder / kCheckpointName).string())
        .Expected("step " + std::to_string(static_cast<int64_t>(step)) + ", as on rank 0")
        .Found("step " + std::to_string(state.step))
        .Hint("all ranks need the same folder, on a file system that they share");
  }
  // Rank 0 must not replace the checkpoint before all have read it.
  options.ranks.Barrier();
}

// Evaluates, logs, and keeps the parameters if they are the best so far.
void EvaluateNow(Trainee& trainee, const LoopOptions& options, const AdamW& optimiser,
                 LoopState& state, MetricsLog& log) {
  Trainee::Evaluation evaluation = trainee.Evaluate();
  // Rank 0 decides, so that rounding that differs between machines never parts the ranks.
  options.ranks.Broadcast(std::span(&evaluation.score, 1));
  // Not a number is as bad as it gets, and JSON could not hold it.
  if (!std::isfinite(evaluation.score)) evaluation.score = -std::numeric_limits<double>::max();
  ordered_json line = {{"event", options.name}, {"step", state.step}};
  if (state.loss_count > 0) {
    line["loss"] = state.loss_sum / static_cast<double>(state.loss_count);
    line["gradient_norm"] = optimiser.gradient_norm();
    line["skipped"] = optimiser.skipped();
  }
  line["dev"] = evaluation.metrics;
  log.Add(std::move(line));
  state.loss_sum = 0;
  state.loss_count = 0;
  if (evaluation.score > state.best_score || state.best.empty()) {
    state.best_score = evaluation.score;
    state.best_step = state.step;
    state.since_best = 0;
    state.best = Copy(optimiser.parameters());
  } else {
    ++state.since_best;
  }
}

}  // namespace

LoopResult RunTraining(Trainee& trainee, const LoopOptions& options, MetricsLog& log) {
  AdamW optimiser(trainee.Parameters(), options.adamw);
  LoopState state;
  const std::filesystem::path path = options.folder / kCheckpointName;
  if (options.resume && !options.folder.empty() && std::filesystem::exists(path)) {
    Load(options, state, optimiser, log);
  }
  AgreeOnStart(options, state);
  BroadcastParameters(optimiser.parameters(), options.ranks);
  if (state.best.empty()) {
    EvaluateNow(trainee, options, optimiser, state, log);
  }
  Progress progress(options.name, "steps", options.steps - state.step, options.progress);
  bool stopped_early = false;
  RankSum over_ranks(options.ranks);
  while (state.step < options.steps) {
    if (options.patience > 0 && state.since_best >= options.patience) {
      stopped_early = true;
      break;
    }
    const StepSum sum = ComputeStep(trainee, state.step, optimiser.parameters(), over_ranks);
    if (optimiser.Step(
            LearningRateFactor(options.schedule, state.step, options.steps, options.warmup))) {
      state.loss_sum += sum.loss;
      ++state.loss_count;
    }
    ++state.step;
    if (optimiser.skipped() > std::max<int64_t>(state.step / 2, 10)) {
      throw Error("training fails: most gradients are not finite")
          .At("step " + std::to_string(state.step))
          .Found(std::to_string(optimiser.skipped()) + " skipped steps")
          .Hint("a lower learning rate may help");
    }
    if (state.step % options.eval_every == 0 || state.step == options.steps) {
      EvaluateNow(trainee, options, optimiser, state, log);
    }
    progress.Add(1, "best dev score " + ordered_json(state.best_score).dump().substr(0, 7));
    if (options.checkpoint_every > 0 && state.step % options.checkpoint_every == 0) {
      Save(options, state, optimiser, log);
    }
    // With several ranks only what all have heard of counts.
    if (sum.interrupted || (!options.ranks.several() && Interrupted())) {
      Save(options, state, optimiser, log);
      options.ranks.Barrier();  // the first rank to fail would end the one that is writing
      throw Error("interrupted", ExitCode::kInterrupted)
          .Hint("--resume continues from the checkpoint");
    }
  }
  // What comes now, calibration and figures, may be interrupted too, on one rank before others.
  Save(options, state, optimiser, log);
  options.ranks.Barrier();
  const at::NoGradGuard no_grad;
  for (const Parameter& parameter : optimiser.parameters()) {
    at::Tensor value = parameter.value;
    value.copy_(state.best.at(parameter.name));
  }
  return {state.step, state.best_step, state.best_score, optimiser.skipped(), stopped_early};
}

}  // namespace extrospect
