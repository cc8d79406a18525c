// The probe by gradient: what the training loop moves, and how it is judged on the way.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "base/config.h"
#include "decode/probe.h"
#include "records/lexicon.h"
#include "train/judge.h"
#include "train/linear.h"
#include "train/loop.h"

namespace extrospect {

// Standardised features [n, F] and targets of the two splits that fitting sees.
struct ProbeData {
  at::Tensor train, train_targets, dev, dev_targets, dev_label;
};

// Of logits / temperature on dev.
Judgement JudgeLogits(const Lexicon& lexicon, const at::Tensor& logits, double temperature,
                      const ProbeData& data);

// Cross-entropy plus a pull of the linear map towards its start: how far the data may move a
// reading that the lexicon's neighbourhoods support. A hidden layer starts without a say. Classes
// without a training example keep their place, since nothing speaks for them and everything would
// speak against them.
class ProbeTrainee : public Trainee {
 public:
  // `data`, `lexicon` and `config` (options of the kind "probe") must outlive it.
  ProbeTrainee(const Lexicon& lexicon, const ProbeData& data, const LinearMap& start,
               const Config& config);

  std::vector<Parameter> Parameters() const override;
  at::Tensor Loss(int64_t step, int64_t part) override;
  Evaluation Evaluate() override;

  // The parameters as they are; nothing but the reading of classes is filled in.
  ProbeWeights Weights() const;

 private:
  // Training rows of this step, [batch] int64.
  at::Tensor Draw(int64_t step);

  const Lexicon& lexicon_;
  const ProbeData& data_;
  const Config& config_;
  uint64_t seed_;
  LinearMap start_;
  at::Tensor targets_, unseen_;
  at::Tensor weight_, bias_, hidden_weight_, hidden_bias_, hidden_out_;
  std::pair<int64_t, std::vector<int64_t>> order_ = {-1, {}};  // an epoch's permutation
};

}  // namespace extrospect
