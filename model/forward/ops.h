// The transformer's operations between its matrix products. Each runs as a fused CPU kernel
// (cpu_kernels.h) where that applies, and otherwise as a composition of ATen operations, which is
// differentiable and runs on every device and in every dtype. Both give the same numbers.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "model/config/architecture.h"
#include "model/forward/attention_plan.h"
#include "model/forward/rope.h"

namespace extrospect {

// residual += post(delta); returns pre(residual) in `dtype`.
//   residual     [rows, d_model], float32 (float64 when computing in float64); changed in place,
//                but replaced by a new tensor when gradients are recorded
//   delta        [rows, d_model] in the compute dtype, or undefined: nothing is added
//   post_weight  RMS norm applied to delta first; undefined: none
//   pre_weight   RMS norm of the sum; undefined: the sum itself, cast to `dtype`
at::Tensor AddAndNorm(at::Tensor& residual, const at::Tensor& delta, const at::Tensor& post_weight,
                      const at::Tensor& pre_weight, double eps, at::ScalarType dtype);

// Normalises (where the family does) and rotates queries and keys.
//   qkv        [rows, qkv_size]; changed in place, or copied when gradients are recorded
//   positions  [rows] int64, on the device of qkv
//   q_norm, k_norm  weights of the norms, or undefined
at::Tensor NormAndRotate(const at::Tensor& qkv, const at::Tensor& positions, const RopeTable& table,
                         const at::Tensor& q_norm, const at::Tensor& k_norm,
                         const Architecture& architecture);

// A stretch of past keys and values that a sequence can see: [count, kv_size] each, or rows of the
// batch itself.
struct KeyRun {
  at::Tensor keys, values;
  int64_t first_row = -1, n_rows = 0;  // of the batch, if not negative

  int64_t count() const { return first_row >= 0 ? n_rows : keys.size(0); }
};

// What the rows of one sequence attend to.
struct AttentionSpan {
  int64_t first_row = 0;  // the sequence's rows in the packed batch
  int64_t n_rows = 0;
  std::vector<KeyRun> past;  // oldest first; every new row sees all of it (within the window)
  int64_t n_past = 0;        // rows in `past`
};

// Causal attention of every sequence over its past and itself; rows of different sequences never
// see each other, unless one continues the other.
//   qkv      [rows, qkv_size], rotated
//   window   keys at most window − 1 positions back; 0: all
//   plan     of these spans and this window on qkv's device: made by the first call that needs one,
//            and good for all blocks of a pass
//   returns  [rows, n_heads * head_dim]
at::Tensor Attention(const at::Tensor& qkv, const std::vector<AttentionSpan>& spans, int64_t window,
                     const Architecture& architecture, std::optional<AttentionPlan>& plan);

// act(gate) * up for gate_up [rows, 2 * d_ff] = gate | up; returns [rows, d_ff].
at::Tensor GatedActivation(const at::Tensor& gate_up, Activation activation);

}  // namespace extrospect
