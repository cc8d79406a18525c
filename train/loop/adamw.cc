#include "train/loop/adamw.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace extrospect {

Schedule ParseSchedule(const std::string& name) {
  return name == "constant" ? Schedule::kConstant
         : name == "linear" ? Schedule::kLinear
                            : Schedule::kCosine;
}

double LearningRateFactor(Schedule schedule, int64_t step, int64_t steps, int64_t warmup) {
  if (step < warmup) return static_cast<double>(step + 1) / static_cast<double>(warmup);
  if (schedule == Schedule::kConstant) return 1.0;
  const double done = static_cast<double>(step - warmup) /
                      static_cast<double>(std::max<int64_t>(steps - warmup, 1));
  const double clipped = std::min(done, 1.0);
  return schedule == Schedule::kLinear ? 1.0 - clipped
                                       : 0.5 * (1.0 + std::cos(std::numbers::pi * clipped));
}

AdamW::AdamW(std::vector<Parameter> parameters, AdamWOptions options)
    : parameters_(std::move(parameters)), options_(options) {
  for (const Parameter& parameter : parameters_) {
    m_.push_back(at::zeros_like(parameter.value).detach());
    v_.push_back(at::zeros_like(parameter.value).detach());
  }
}

bool AdamW::Step(double factor) {
  const at::NoGradGuard no_grad;
  at::Tensor squares;
  for (const Parameter& parameter : parameters_) {
    const at::Tensor& gradient = parameter.value.grad();
    if (!gradient.defined()) continue;
    const at::Tensor sum = gradient.to(at::kDouble).square().sum();
    // Blocks of the model may be on several devices, and their parameters with them.
    squares = squares.defined() ? squares + sum.to(squares.device()) : sum;
  }
  gradient_norm_ = squares.defined() ? std::sqrt(squares.item<double>()) : 0.0;
  if (!std::isfinite(gradient_norm_)) {
    ++skipped_;
    ZeroGrad();
    return false;
  }
  ++steps_;
  const double scale = options_.clip_norm > 0 && gradient_norm_ > options_.clip_norm
                           ? options_.clip_norm / gradient_norm_
                           : 1.0;
  const double base_rate = options_.learning_rate * factor;
  const double correction1 = 1 - std::pow(options_.beta1, static_cast<double>(steps_));
  const double correction2 = 1 - std::pow(options_.beta2, static_cast<double>(steps_));
  for (size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor value = parameters_[i].value;
    if (!value.grad().defined()) continue;
    const at::Tensor gradient = scale == 1.0 ? value.grad() : value.grad() * scale;
    const double rate = base_rate * parameters_[i].rate;
    if (parameters_[i].decay) value.mul_(1 - rate * options_.weight_decay);
    m_[i].mul_(options_.beta1).add_(gradient, 1 - options_.beta1);
    v_[i].mul_(options_.beta2).addcmul_(gradient, gradient, 1 - options_.beta2);
    const at::Tensor denominator = (v_[i].sqrt() / std::sqrt(correction2)).add_(options_.epsilon);
    value.addcdiv_(m_[i], denominator, -rate / correction1);
  }
  ZeroGrad();
  return true;
}

void AdamW::ZeroGrad() {
  for (Parameter& parameter : parameters_) parameter.value.mutable_grad().reset();
}

std::map<std::string, at::Tensor> AdamW::State() const {
  std::map<std::string, at::Tensor> state;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    state[parameters_[i].name + ".m"] = m_[i];
    state[parameters_[i].name + ".v"] = v_[i];
  }
  return state;
}

void AdamW::Restore(const std::map<std::string, at::Tensor>& state, int64_t steps,
                    int64_t skipped) {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    m_[i].copy_(state.at(parameters_[i].name + ".m"));
    v_[i].copy_(state.at(parameters_[i].name + ".v"));
  }
  steps_ = steps;
  skipped_ = skipped;
}

}  // namespace extrospect
