// The few calls of NCCL that sums over GPUs are made of. Internal to train/loop; nccl.cc has them
// where libtorch brings NCCL, no_nccl.cc where it does not.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "base/ranks.h"

namespace extrospect::nccl {

extern const bool kBuiltIn;

// All ranks' GPUs, one each. Make it, and call it, on all ranks in the same order.
class Communicator {
 public:
  // Throws Error if they cannot be joined: two ranks on one GPU, above all.
  Communicator(const Ranks& ranks, at::Device device);
  ~Communicator();

  // values: contiguous float32 on the device. Replaces them by their sums over all ranks, the same
  // bits on each; does not wait for it.
  void Sum(const at::Tensor& values);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace extrospect::nccl
