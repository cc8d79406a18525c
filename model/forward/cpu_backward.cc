#include "model/forward/cpu_backward.h"

#include <ATen/Parallel.h>

#include "model/forward/simd.h"

namespace extrospect::cpu {
namespace {

using simd::Floats;
using simd::ForLanes;
using simd::InverseRms;
using simd::LoadUpTo;
using simd::StoreUpTo;
using simd::Sum;

constexpr int64_t kGrain = 16;  // as in cpu_kernels.cc

// out = r · w · x with r = 1 / rms(x): of_x = r · (w · of_out) − x · r³ · mean(w · of_out · x),
// stored (or added, where `add`) to `of_x`. The weight may be null: ones.
template <typename X, typename G, typename To>
EXTROSPECT_INLINE void NormBackward(const X* x, const float* weight, const G* of_out, float eps,
                                    int64_t n, bool add, To* of_x) {
  const float scale = InverseRms(x, n, eps);
  Floats dots = {};
  ForLanes(n, [&](int64_t i, int64_t count) EXTROSPECT_INLINE_LAMBDA {
    Floats g = LoadUpTo(of_out + i, count);
    if (weight != nullptr) g *= LoadUpTo(weight + i, count);
    dots += g * LoadUpTo(x + i, count);
  });
  const float back = Sum(dots) * scale * scale * scale / static_cast<float>(n);
  ForLanes(n, [&](int64_t i, int64_t count) EXTROSPECT_INLINE_LAMBDA {
    Floats g = LoadUpTo(of_out + i, count);
    if (weight != nullptr) g *= LoadUpTo(weight + i, count);
    Floats result = g * scale - LoadUpTo(x + i, count) * back;
    if (add) result += LoadUpTo(of_x + i, count);
    StoreUpTo(of_x + i, result, count);
  });
}

template <typename T>
EXTROSPECT_KERNEL void AddAndNormBackwardRows(const float* sum, const T* delta,
                                              const float* post_weight, const float* pre_weight,
                                              float eps, const float* of_sum, const T* of_out,
                                              int64_t rows, int64_t width, float* of_residual,
                                              T* of_delta) {
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t at = row * width;
    float* const to = of_residual + at;
    ForLanes(width, [&](int64_t i, int64_t n) EXTROSPECT_INLINE_LAMBDA {
      Floats g = {};
      if (of_sum != nullptr) g = LoadUpTo(of_sum + at + i, n);
      if (of_out != nullptr && pre_weight == nullptr) g += LoadUpTo(of_out + at + i, n);
      StoreUpTo(to + i, g, n);
    });
    if (of_out != nullptr && pre_weight != nullptr) {
      NormBackward(sum + at, pre_weight, of_out + at, eps, width, /*add=*/true, to);
    }
    if (delta == nullptr) continue;
    if (post_weight != nullptr) {
      NormBackward(delta + at, post_weight, to, eps, width, /*add=*/false, of_delta + at);
    } else {
      ForLanes(width, [&](int64_t i, int64_t n) EXTROSPECT_INLINE_LAMBDA {
        StoreUpTo(of_delta + at + i, LoadUpTo(to + i, n), n);
      });
    }
  }
}

template <typename T>
EXTROSPECT_KERNEL void RotateBackwardRows(T* row, const int64_t* positions, const float* cos,
                                          const float* sin, int64_t rows, int64_t row_stride,
                                          int64_t n_heads, int64_t head_dim) {
  const int64_t half = head_dim / 2;
  for (int64_t r = 0; r < rows; ++r, row += row_stride) {
    const float* const c = cos + positions[r] * half;
    const float* const s = sin + positions[r] * half;
    for (int64_t head = 0; head < n_heads; ++head) {
      T* const x = row + head * head_dim;
      ForLanes(half, [&](int64_t i, int64_t n) EXTROSPECT_INLINE_LAMBDA {
        const Floats a = LoadUpTo(x + i, n), b = LoadUpTo(x + half + i, n);
        const Floats cosine = LoadUpTo(c + i, n), sine = LoadUpTo(s + i, n);
        StoreUpTo(x + i, a * cosine + b * sine, n);
        StoreUpTo(x + half + i, b * cosine - a * sine, n);
      });
    }
  }
}

template <typename T, Activation activation>
EXTROSPECT_KERNEL void GatedActivationBackwardRows(const T* gate_up, const T* of_out, int64_t rows,
                                                   int64_t d_ff, T* of_gate_up) {
  for (int64_t row = 0; row < rows; ++row) {
    const T* const in = gate_up + row * 2 * d_ff;
    const T* const g_row = of_out + row * d_ff;
    T* const to = of_gate_up + row * 2 * d_ff;
    ForLanes(d_ff, [&](int64_t i, int64_t n) EXTROSPECT_INLINE_LAMBDA {
      const Floats gate = LoadUpTo(in + i, n), up = LoadUpTo(in + d_ff + i, n);
      const Floats g = LoadUpTo(g_row + i, n);
      Floats value, slope;  // of the activation at `gate`
      if constexpr (activation == Activation::kSilu) {
        const Floats sigmoid = 1.0f / (1.0f + simd::Exp(-gate));
        value = gate * sigmoid;
        slope = sigmoid * (1.0f + gate * (1.0f - sigmoid));
      } else {
        constexpr float kRootTwoOverPi = 0.7978845608028654f, kCubic = 0.044715f;
        const Floats square = gate * gate;
        const Floats t = simd::Tanh(kRootTwoOverPi * gate * (1.0f + kCubic * square));
        value = 0.5f * gate * (1.0f + t);
        slope = 0.5f * (1.0f + t) +
                0.5f * gate * (1.0f - t * t) * kRootTwoOverPi * (1.0f + 3.0f * kCubic * square);
      }
      StoreUpTo(to + i, g * up * slope, n);
      StoreUpTo(to + d_ff + i, g * value, n);
    });
  }
}

}  // namespace

template <typename T>
void AddAndNormBackward(const float* sum, const T* delta, const float* post_weight,
                        const float* pre_weight, double eps, const float* of_sum, const T* of_out,
                        int64_t rows, int64_t width, float* of_residual, T* of_delta) {
  at::parallel_for(0, rows, kGrain, [&](int64_t begin, int64_t end) {
    const auto from = [&](auto* pointer) {
      return pointer == nullptr ? nullptr : pointer + begin * width;
    };
    AddAndNormBackwardRows(from(sum), from(delta), post_weight, pre_weight, static_cast<float>(eps),
                           from(of_sum), from(of_out), end - begin, width, from(of_residual),
                           from(of_delta));
  });
}

template <typename T>
void RotateBackward(T* of_qkv, const int64_t* positions, const float* cos, const float* sin,
                    int64_t rows, const Architecture& architecture) {
  const int64_t stride = architecture.qkv_size();
  const int64_t heads = architecture.n_heads + architecture.n_kv_heads;
  at::parallel_for(0, rows, kGrain, [&](int64_t begin, int64_t end) {
    RotateBackwardRows(of_qkv + begin * stride, positions + begin, cos, sin, end - begin, stride,
                       heads, architecture.head_dim);
  });
}

template <typename T>
void GatedActivationBackward(const T* gate_up, const T* of_out, Activation activation, int64_t rows,
                             int64_t d_ff, T* of_gate_up) {
  const auto kernel = activation == Activation::kSilu
                          ? GatedActivationBackwardRows<T, Activation::kSilu>
                          : GatedActivationBackwardRows<T, Activation::kGeluTanh>;
  at::parallel_for(0, rows, kGrain, [&](int64_t begin, int64_t end) {
    kernel(gate_up + begin * 2 * d_ff, of_out + begin * d_ff, end - begin, d_ff,
           of_gate_up + begin * 2 * d_ff);
  });
}

#define EXTROSPECT_INSTANTIATE(T)                                                                 \
  template void AddAndNormBackward<T>(const float*, const T*, const float*, const float*, double, \
                                      const float*, const T*, int64_t, int64_t, float*, T*);      \
  template void RotateBackward<T>(T*, const int64_t*, const float*, const float*, int64_t,        \
                                  const Architecture&);                                           \
  template void GatedActivationBackward<T>(const T*, const T*, Activation, int64_t, int64_t, T*);
EXTROSPECT_INSTANTIATE(float)
EXTROSPECT_INSTANTIATE(c10::BFloat16)
#undef EXTROSPECT_INSTANTIATE

}  // namespace extrospect::cpu
