#include "train/linear/probe_trainee.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "base/random.h"
#include "model/index_tensor.h"

namespace extrospect {
namespace {

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

// A leaf that can be trained; inference tensors cannot.
at::Tensor Leaf(const at::Tensor& value) {
  return at::empty_like(value).copy_(value).requires_grad_(true);
}

// Inverted dropout. The mask is drawn on the CPU, so that every device sees the same.
at::Tensor Dropout(const at::Tensor& x, double share, const at::Generator& generator) {
  if (share <= 0) return x;
  const at::Tensor keep = at::empty(x.sizes(), at::TensorOptions(at::kFloat).device(at::kCPU))
                              .bernoulli_(1 - share, generator);
  return x * keep.to(x.device()) / (1 - share);
}

}  // namespace

ProbeTrainee::ProbeTrainee(const Lexicon& lexicon, const ProbeData& data, const LinearMap& start,
                           const Config& config)
    : lexicon_(lexicon),
      data_(data),
      config_(config),
      seed_(static_cast<uint64_t>(config.Integer("seed"))),
      start_(start),
      targets_(SpreadOverNear(lexicon, data.train_targets, config.Number("softmax.near_share"))),
      weight_(Leaf(start.weight)),
      bias_(Leaf(start.bias)),
      epochs_(seed_, "probe/epoch", data.train.size(0)) {
  unseen_ = targets_.sum(0) == 0;
  const int64_t units = config.Integer("hidden.units"), features = start.weight.size(1);
  if (units == 0) return;
  const at::Generator generator =
      at::detail::createCPUGenerator(RandomStream(seed_, "probe/hidden").Next());
  const at::Tensor random =
      at::randn({units, features}, generator, at::TensorOptions(at::kFloat).device(at::kCPU)) /
      std::sqrt(static_cast<double>(features));
  hidden_weight_ = Leaf(random.to(start.weight.device()));
  hidden_bias_ = Leaf(at::zeros({units}, start.weight.options()));
  hidden_out_ = Leaf(at::zeros({start.weight.size(0), units}, start.weight.options()));
}

std::vector<Parameter> ProbeTrainee::Parameters() const {
  std::vector<Parameter> parameters = {{"weight", weight_}, {"bias", bias_, /*decay=*/false}};
  if (hidden_weight_.defined()) {
    parameters.push_back({"hidden.weight", hidden_weight_});
    parameters.push_back({"hidden.bias", hidden_bias_, /*decay=*/false});
    parameters.push_back({"hidden.out", hidden_out_});
  }
  return parameters;
}

at::Tensor ProbeTrainee::Loss(int64_t step, int64_t) {
  at::Tensor x = data_.train, targets = targets_;
  if (const int64_t batch = config_.Integer("softmax.batch"); batch > 0) {
    const at::Tensor rows = IndexTensor(epochs_.Step(step, std::min(batch, x.size(0))), x.device());
    x = x.index_select(0, rows);
    targets = targets.index_select(0, rows);
  }
  const at::Generator generator = at::detail::createCPUGenerator(
      RandomStream(seed_, "probe/dropout/" + std::to_string(step)).Next());
  x = Dropout(x, config_.Number("softmax.dropout"), generator);
  at::Tensor logits = at::addmm(bias_, x, weight_.t());
  if (hidden_weight_.defined()) {
    const at::Tensor units = at::relu(at::addmm(hidden_bias_, x, hidden_weight_.t()));
    logits = logits +
             at::mm(Dropout(units, config_.Number("hidden.dropout"), generator), hidden_out_.t());
  }
  logits = logits.masked_fill(unseen_, -std::numeric_limits<float>::infinity());
  const at::Tensor log_p = at::log_softmax(logits, 1).masked_fill(unseen_, 0);
  return -(log_p * targets).sum(1).mean() +
         (weight_ - start_.weight).square().sum() * config_.Number("softmax.anchor");
}

Trainee::Evaluation ProbeTrainee::Evaluate() {
  const at::NoGradGuard no_grad;
  const at::Tensor logits = Weights().Logits(data_.dev);
  const double temperature = FitTemperature(logits, data_.dev_targets);
  const Judgement dev = JudgeLogits(lexicon_, logits, temperature, data_);
  return {-dev.cross_entropy, dev.ToJson()};
}

ProbeWeights ProbeTrainee::Weights() const {
  ProbeWeights weights;
  weights.weight = weight_.detach();
  weights.bias = bias_.detach();
  if (hidden_weight_.defined()) {
    weights.hidden_weight = hidden_weight_.detach();
    weights.hidden_bias = hidden_bias_.detach();
    weights.hidden_out = hidden_out_.detach();
  }
  return weights;
}

}  // namespace extrospect
