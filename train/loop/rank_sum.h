// Sums of tensors over ranks, where the tensors lie.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "base/ranks.h"

namespace extrospect {

namespace nccl {
class Communicator;
}

// On GPUs by NCCL, where libtorch brings it; else through host memory, by MPI. Not thread-safe.
class RankSum {
 public:
  explicit RankSum(const Ranks& ranks);
  ~RankSum();

  const Ranks& ranks() const { return ranks_; }

  // values: [n] float32. Returns their sums over all ranks, on the same device and with the same
  // bits on each rank. All ranks must call it in the same order, with the same n and kind of
  // device.
  at::Tensor Sum(const at::Tensor& values);

 private:
  Ranks ranks_;
  std::unique_ptr<nccl::Communicator> gpus_;  // made when it is first needed
};

}  // namespace extrospect
