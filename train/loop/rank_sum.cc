#include "train/loop/rank_sum.h"

#include <ATen/ATen.h>

#include <span>

#include "train/loop/nccl.h"

namespace extrospect {

RankSum::RankSum(const Ranks& ranks) : ranks_(ranks) {}
RankSum::~RankSum() = default;

at::Tensor RankSum::Sum(const at::Tensor& values) {
  if (!ranks_.several()) return values;
  if (values.is_cuda() && nccl::kBuiltIn) {
    if (gpus_ == nullptr) gpus_ = std::make_unique<nccl::Communicator>(ranks_, values.device());
    const at::Tensor sums = values.clone(at::MemoryFormat::Contiguous);
    gpus_->Sum(sums);
    return sums;
  }
  const at::Tensor host = values.to(at::kCPU, at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  ranks_.SumInPlace(std::span(host.mutable_data_ptr<float>(), static_cast<size_t>(host.numel())));
  return host.to(values.device());
}

}  // namespace extrospect
