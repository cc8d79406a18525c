// The operations of ops.h as single nodes of the autograd graph: CPU kernels forward and backward.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

#include "model/config/architecture.h"
#include "model/forward/rope.h"

namespace extrospect {

// For CPU tensors, float32 or bfloat16. Returns the sum and the normed sum; see AddAndNorm.
std::pair<at::Tensor, at::Tensor> FusedAddAndNorm(const at::Tensor& residual,
                                                  const at::Tensor& delta,
                                                  const at::Tensor& post_weight,
                                                  const at::Tensor& pre_weight, double eps,
                                                  at::ScalarType dtype);

// See NormAndRotate; only for families that do not normalise queries and keys. `architecture` must
// outlive the graph.
at::Tensor FusedRotate(const at::Tensor& qkv, const at::Tensor& positions, const RopeTable& table,
                       const Architecture& architecture);

at::Tensor FusedGatedActivation(const at::Tensor& gate_up, Activation activation);

}  // namespace extrospect
