// AdamW: Adam with decoupled weight decay (Loshchilov & Hutter 2019), whose state can be saved and
// restored exactly.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace extrospect {

struct AdamWOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 0.0;  // not applied to parameters whose `decay` is false
  double clip_norm = 0.0;     // greatest norm of all gradients together; 0: no clipping
};

enum class Schedule { kConstant, kLinear, kCosine };

// "constant", "linear", "cosine"; anything else is cosine.
Schedule ParseSchedule(const std::string& name);

// The factor of the learning rate at `step` (from 0) of `steps`: rises linearly over `warmup` steps
// to 1 and falls to 0 by the schedule.
double LearningRateFactor(Schedule schedule, int64_t step, int64_t steps, int64_t warmup);

struct Parameter {
  std::string name;
  at::Tensor value;  // a leaf that requires a gradient
  bool decay = true;
  double rate = 1.0;  // times the learning rate
};

// Not thread-safe.
class AdamW {
 public:
  AdamW(std::vector<Parameter> parameters, AdamWOptions options);

  // Updates the parameters by their gradients, with the learning rate times `factor`, and clears
  // the gradients. A step whose gradients are not finite is skipped and counted; returns whether it
  // was taken.
  bool Step(double factor);
  void ZeroGrad();

  int64_t steps() const { return steps_; }                 // taken
  int64_t skipped() const { return skipped_; }             // not finite
  double gradient_norm() const { return gradient_norm_; }  // of the last step, before clipping
  const std::vector<Parameter>& parameters() const { return parameters_; }

  // Moments by parameter name ("x.m", "x.v"), for a checkpoint; the two counts are kept apart.
  std::map<std::string, at::Tensor> State() const;
  // Throws std::out_of_range if a tensor is missing.
  void Restore(const std::map<std::string, at::Tensor>& state, int64_t steps, int64_t skipped);

 private:
  std::vector<Parameter> parameters_;
  AdamWOptions options_;
  std::vector<at::Tensor> m_, v_;
  int64_t steps_ = 0, skipped_ = 0;
  double gradient_norm_ = 0.0;
};

}  // namespace extrospect
