#include "train/loop/shared_step.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <span>
#include <utility>

#include "base/error.h"
#include "base/interrupt.h"
#include "train/loop/loop.h"

namespace extrospect {
namespace {

// Behind the gradients: for each parameter how many ranks have a gradient, then loss and wish to
// stop.
constexpr int64_t kExtra = 2;

at::TensorOptions HostFloats() { return at::TensorOptions(at::kFloat).device(at::kCPU); }

std::span<float> SpanOf(const at::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<size_t>(tensor.numel())};
}

// All tensors end to end, float32, on the first one's device.
at::Tensor Flatten(const std::vector<at::Tensor>& tensors) {
  const at::Device device = tensors.front().device();
  std::vector<at::Tensor> flat;
  for (const at::Tensor& tensor : tensors) {
    flat.push_back(tensor.detach().to(device, at::kFloat).flatten());
  }
  return at::cat(flat);
}

// The inverse: calls take(i, values) with values like parameter i's, on its device.
template <typename Take>
void Unflatten(const at::Tensor& flat, const std::vector<Parameter>& parameters, Take take) {
  const at::Tensor all = flat.to(parameters.front().value.device());
  int64_t begin = 0;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const at::Tensor& value = parameters[i].value;
    take(i, all.narrow(0, begin, value.numel()).view_as(value).to(value.options()));
    begin += value.numel();
  }
}

// Sums gradients, loss and wish to stop over all ranks.
void SumGradients(const std::vector<Parameter>& parameters, RankSum& over_ranks, double& loss,
                  bool& stop) {
  std::vector<at::Tensor> pieces;
  const auto n = static_cast<int64_t>(parameters.size());
  at::Tensor extra = at::zeros({n + kExtra}, HostFloats());
  float* const extras = extra.data_ptr<float>();
  for (int64_t i = 0; i < n; ++i) {
    const at::Tensor& value = parameters[static_cast<size_t>(i)].value;
    const bool defined = value.grad().defined();
    pieces.push_back(defined ? value.grad() : at::zeros_like(value));
    extras[i] = defined ? 1.0f : 0.0f;
  }
  extras[n] = static_cast<float>(loss);
  extras[n + 1] = stop ? 1.0f : 0.0f;
  const at::Tensor gradients = Flatten(pieces);
  const at::Tensor buffer = over_ranks.Sum(at::cat({gradients, extra.to(gradients.device())}));
  const at::Tensor behind = buffer.narrow(0, gradients.numel(), n + kExtra).to(at::kCPU);
  const float* const sums = behind.const_data_ptr<float>();
  Unflatten(buffer.narrow(0, 0, gradients.numel()), parameters,
            [&](size_t i, const at::Tensor& gradient) {
              if (sums[i] > 0) {
                at::Tensor value = parameters[i].value;
                // A copy: the buffer is a piece of memory that all would keep alive.
                value.mutable_grad() = gradient.clone();
              }
            });
  loss = sums[n];
  stop = sums[n + 1] > 0;
}

}  // namespace

StepSum ComputeStep(Trainee& trainee, int64_t step, const std::vector<Parameter>& parameters,
                    RankSum& over_ranks) {
  const Ranks& ranks = over_ranks.ranks();
  const int64_t parts = trainee.Parts();
  if (ranks.size() > parts) {
    throw UsageError("there are more ranks than parts of a step")
        .Expected("at most " + std::to_string(parts) + " ranks")
        .Found(std::to_string(ranks.size()))
        .Hint("make the micro-batches smaller (micro_batch), or start fewer processes");
  }
  StepSum sum;
  for (int64_t part = ranks.rank(); part < parts; part += ranks.size()) {
    const at::Tensor loss = trainee.Loss(step, part);
    loss.backward();
    sum.loss += loss.item<double>();
  }
  sum.interrupted = Interrupted();
  const at::NoGradGuard no_grad;
  if (ranks.several()) SumGradients(parameters, over_ranks, sum.loss, sum.interrupted);
  sum.loss /= static_cast<double>(parts);
  if (parts > 1) {
    for (const Parameter& parameter : parameters) {
      at::Tensor gradient = parameter.value.grad();
      if (gradient.defined()) gradient.div_(static_cast<double>(parts));
    }
  }
  return sum;
}

void BroadcastParameters(const std::vector<Parameter>& parameters, const Ranks& ranks) {
  if (!ranks.several() || parameters.empty()) return;
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> values;
  for (const Parameter& parameter : parameters) values.push_back(parameter.value);
  const at::Tensor flat = Flatten(values).to(at::kCPU);
  ranks.Broadcast(std::as_writable_bytes(SpanOf(flat)));
  Unflatten(flat, parameters, [&](size_t i, const at::Tensor& read) {
    at::Tensor value = parameters[i].value;
    value.copy_(read);
  });
}

}  // namespace extrospect
