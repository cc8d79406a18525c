// The probe by gradient: what the training loop moves, and how it is judged on the way.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "base/config.h"
#include "decode/probe.h"
#include "records/lexicon.h"
#include "train/linear/discriminant.h"
#include "train/loop/epochs.h"
#include "train/loop/loop.h"

namespace extrospect {

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
  const Lexicon& lexicon_;
  const ProbeData& data_;
  const Config& config_;
  uint64_t seed_;
  LinearMap start_;
  at::Tensor targets_, unseen_;
  at::Tensor weight_, bias_, hidden_weight_, hidden_bias_, hidden_out_;
  Epochs epochs_;
};

}  // namespace extrospect
