#include "train/loop/nccl.h"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/csrc/cuda/nccl.h>  // libtorch's own wrapper: no other NCCL is needed, or could differ

#include <span>
#include <vector>

#include "base/error.h"

namespace extrospect::nccl {

const bool kBuiltIn = true;

namespace {

// Calls `action`; what NCCL says against it becomes an Error.
template <typename Action>
void Checked(const char* what, at::Device device, Action action) {
  try {
    action();
  } catch (const c10::Error& error) {
    throw Error(what)
        .At(device.str())
        .Found(error.what_without_backtrace())
        .Hint("every rank needs a GPU of its own (CUDA_VISIBLE_DEVICES, --gpus-per-task=1)");
  }
}

}  // namespace

struct Communicator::Impl {
  at::Device device;
  torch::cuda::nccl::ncclComm_t communicator = nullptr;
};

Communicator::Communicator(const Ranks& ranks, at::Device device)
    : impl_(std::make_unique<Impl>(Impl{device})) {
  torch::cuda::nccl::ncclUniqueId id = {};
  if (ranks.first()) {
    Checked("NCCL cannot be started", device, [&] { torch::cuda::nccl::get_unique_id(id); });
  }
  ranks.Broadcast(std::as_writable_bytes(std::span(&id, 1)));
  const c10::cuda::CUDAGuard guard(device);
  Checked("the ranks' GPUs cannot be joined", device, [&] {
    impl_->communicator = torch::cuda::nccl::comm_init_rank(ranks.size(), id, ranks.rank());
  });
}

Communicator::~Communicator() {
  if (impl_->communicator == nullptr) return;
  const c10::cuda::CUDAGuard guard(impl_->device);
  torch::cuda::nccl::comm_destroy(impl_->communicator);
}

void Communicator::Sum(const at::Tensor& values) {
  std::vector<at::Tensor> one = {values};
  Checked("the ranks' GPUs cannot add up numbers", impl_->device, [&] {
    torch::cuda::nccl::all_reduce(one, one, static_cast<int>(torch::cuda::nccl::ncclRedOp::Sum),
                                  /*streams=*/{}, {impl_->communicator});
  });
}

}  // namespace extrospect::nccl
