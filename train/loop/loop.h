// The training loop that all kinds share: steps, evaluations, early stopping, checkpoints.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/ranks.h"
#include "train/loop/adamw.h"
#include "train/loop/metrics_log.h"

namespace extrospect {

// What is trained. All randomness of a step and part must follow from their numbers alone
// (RandomStream with the numbers in its name), so that a resumed run takes the same steps as one
// that was never interrupted, and parts can be computed anywhere.
class Trainee {
 public:
  virtual ~Trainee() = default;

  // Leaves that require gradients; the same tensors at every call.
  virtual std::vector<Parameter> Parameters() const = 0;
  // Micro-batches of a step; the same at every call.
  virtual int64_t Parts() const { return 1; }
  // The loss of part 0 … Parts() − 1 of this step, a scalar with its graph. The step's loss, and
  // with it the gradient, is the mean over its parts.
  virtual at::Tensor Loss(int64_t step, int64_t part) = 0;

  struct Evaluation {
    double score = 0.0;              // higher is better
    nlohmann::ordered_json metrics;  // for the log
  };
  // Of the parameters as they are, on dev. Must not change anything. With several ranks it is
  // called on all of them at the same step, so that they may share the work; what rank 0 returns
  // counts.
  virtual Evaluation Evaluate() = 0;
};

struct LoopOptions {
  std::string name = "train";  // in the log and the progress bar
  int64_t steps = 0;
  int64_t eval_every = 50;       // the start and the end are always evaluated
  int64_t patience = 0;          // evaluations without improvement before stopping; 0: never
  int64_t checkpoint_every = 0;  // 0: only when interrupted
  AdamWOptions adamw;
  Schedule schedule = Schedule::kCosine;
  int64_t warmup = 0;

  std::filesystem::path folder;   // of checkpoint.safetensors; empty: there is none
  bool resume = false;            // continue from the checkpoint if there is one
  std::string fingerprint;        // of configuration and data: another run's checkpoint is refused
  std::FILE* progress = nullptr;  // null: silent
  Ranks ranks;                    // who shares the work; at most as many as a step has parts
};

struct LoopResult {
  int64_t steps = 0;      // taken
  int64_t best_step = 0;  // whose parameters were kept
  double best_score = 0.0;
  int64_t skipped = 0;  // steps whose gradients were not finite
  bool stopped_early = false;
};

// Trains. On return the parameters are the best that an evaluation saw. When interrupted
// (base/interrupt.h) the step is finished, a checkpoint written and an Error with
// ExitCode::kInterrupted thrown. Throws Error if more than half of the steps' gradients were not
// finite, and on a checkpoint that is damaged or of another run.
//
// With several ranks all call it with the same options (but `progress`), end alike and return the
// same; only rank 0 writes. Their number changes nothing but the order of float32 sums.
LoopResult RunTraining(Trainee& trainee, const LoopOptions& options, MetricsLog& log);

}  // namespace extrospect
