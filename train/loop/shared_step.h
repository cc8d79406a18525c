// One training step's gradient, computed by all ranks together.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "base/ranks.h"
#include "train/loop/adamw.h"
#include "train/loop/rank_sum.h"

namespace extrospect {

class Trainee;

struct StepSum {
  double loss = 0.0;         // mean over the parts
  bool interrupted = false;  // some rank was told to stop
};

// Leaves the mean of the gradients of all parts of the step in the parameters, the same on every
// rank. Rank r computes parts r, r + size, …; what the ranks have summed up on their own is added
// in one float32 buffer that holds all gradients, the loss and the wish to stop, by one all-reduce.
// A parameter that no part depends on has no gradient afterwards.
StepSum ComputeStep(Trainee& trainee, int64_t step, const std::vector<Parameter>& parameters,
                    RankSum& over_ranks);

// Replaces the parameters' values by those of rank 0.
void BroadcastParameters(const std::vector<Parameter>& parameters, const Ranks& ranks);

}  // namespace extrospect
