// The gradients of the fused CPU kernels (cpu_kernels.h), float32 and bfloat16. Plain pointers over
// contiguous rows; float32 arithmetic throughout. Weights of the model have no gradient.
#pragma once

#include <cstdint>

#include "model/config/architecture.h"

namespace extrospect::cpu {

// Of AddAndNorm: sum = residual + post(delta), out = pre(sum).
//   sum            [rows, width]
//   delta          [rows, width]; null if nothing was added
//   of_sum, of_out gradients of sum and of out; either may be null
//   of_residual    [rows, width], written
//   of_delta       [rows, width], written; null with delta
template <typename T>
void AddAndNormBackward(const float* sum, const T* delta, const float* post_weight,
                        const float* pre_weight, double eps, const float* of_sum, const T* of_out,
                        int64_t rows, int64_t width, float* of_residual, T* of_delta);

// Of NormAndRotate, for families that do not normalise queries and keys: rotates back, in place.
template <typename T>
void RotateBackward(T* of_qkv, const int64_t* positions, const float* cos, const float* sin,
                    int64_t rows, const Architecture& architecture);

// Of GatedActivation.
//   gate_up     [rows, 2 * d_ff]
//   of_out      [rows, d_ff]
//   of_gate_up  [rows, 2 * d_ff], written
template <typename T>
void GatedActivationBackward(const T* gate_up, const T* of_out, Activation activation, int64_t rows,
                             int64_t d_ff, T* of_gate_up);

}  // namespace extrospect::cpu
