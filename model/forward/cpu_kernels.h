// Fused CPU kernels for the operations of ops.h, float32 and bfloat16, forward only. Plain pointers
// over contiguous rows; float32 arithmetic throughout. Parallel over rows by at::parallel_for.
#pragma once

#include <c10/util/BFloat16.h>

#include <cstdint>
#include <vector>

#include "model/config/architecture.h"

namespace extrospect::cpu {

// See AddAndNorm in ops.h. `delta`, `post_weight` and `pre_weight` may be null.
template <typename T>
void AddAndNorm(float* residual, const T* delta, const float* post_weight, const float* pre_weight,
                double eps, int64_t rows, int64_t width, T* out);

// See NormAndRotate in ops.h.
template <typename T>
void NormAndRotate(T* qkv, const int64_t* positions, const float* cos, const float* sin,
                   const float* q_norm, const float* k_norm, int64_t rows,
                   const Architecture& architecture);

template <typename T>
struct KeyRun {
  const T* keys = nullptr;
  const T* values = nullptr;
  int64_t stride = 0;  // elements from one row to the next
  int64_t count = 0;
};

template <typename T>
struct AttentionSpan {
  int64_t first_row = 0;
  int64_t n_rows = 0;
  std::vector<KeyRun<T>> keys;  // the past, oldest first, and then the sequence's own rows
  int64_t n_past = 0;
};

// See Attention in ops.h.
template <typename T>
void Attention(const T* qkv, const std::vector<AttentionSpan<T>>& spans, int64_t window,
               const Architecture& architecture, T* out);

// See GatedActivation in ops.h.
template <typename T>
void GatedActivation(const T* gate_up, Activation activation, int64_t rows, int64_t d_ff, T* out);

}  // namespace extrospect::cpu
