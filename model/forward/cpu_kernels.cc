#include "model/forward/cpu_kernels.h"

#include <ATen/Parallel.h>

#include "model/forward/simd.h"

namespace extrospect::cpu {
namespace {

using simd::Floats;
using simd::ForLanes;
using simd::InverseRms;
using simd::LoadUpTo;
using simd::StoreUpTo;

// Rows a thread takes at a time: enough to pay for waking it.
constexpr int64_t kGrain = 16;

template <typename T>
EXTROSPECT_KERNEL void AddAndNormRows(float* residual, const T* delta, const float* post_weight,
                                      const float* pre_weight, float eps, int64_t rows,
                                      int64_t width, T* out) {
  for (int64_t row = 0; row < rows; ++row, residual += width, out += width) {
    if (delta != nullptr) {
      const float scale = post_weight != nullptr ? InverseRms(delta, width, eps) : 1.0f;
      ForLanes(width, [&](int64_t i, int64_t n) EXTROSPECT_INLINE_LAMBDA {
        Floats d = LoadUpTo(delta + i, n) * scale;
        if (post_weight != nullptr) d *= LoadUpTo(post_weight + i, n);
        StoreUpTo(residual + i, LoadUpTo(residual + i, n) + d, n);
      });
      delta += width;
    }
    const float scale = pre_weight != nullptr ? InverseRms(residual, width, eps) : 1.0f;
    ForLanes(width, [&](int64_t i, int64_t n) EXTROSPECT_INLINE_LAMBDA {
      Floats x = LoadUpTo(residual + i, n) * scale;
      if (pre_weight != nullptr) x *= LoadUpTo(pre_weight + i, n);
      StoreUpTo(out + i, x, n);
    });
  }
}

// Scales a head (or a whole projection) to unit RMS times `weight`, in place.
template <typename T>
EXTROSPECT_INLINE void NormInPlace(T* x, const float* weight, float eps, int64_t n) {
  const float scale = InverseRms(x, n, eps);
  ForLanes(n, [&](int64_t i, int64_t count) EXTROSPECT_INLINE_LAMBDA {
    StoreUpTo(x + i, LoadUpTo(x + i, count) * scale * LoadUpTo(weight + i, count), count);
  });
}

// Rotates the pairs (x[i], x[i + half]) by the row's angles, in place.
template <typename T>
EXTROSPECT_INLINE void Rotate(T* x, const float* cos, const float* sin, int64_t half) {
  ForLanes(half, [&](int64_t i, int64_t n) EXTROSPECT_INLINE_LAMBDA {
    const Floats a = LoadUpTo(x + i, n), b = LoadUpTo(x + half + i, n);
    const Floats c = LoadUpTo(cos + i, n), s = LoadUpTo(sin + i, n);
    StoreUpTo(x + i, a * c - b * s, n);
    StoreUpTo(x + half + i, b * c + a * s, n);
  });
}

struct Heads {
  int64_t n_query, n_key, head_dim, row_stride;
  QkNorm norm;
  float eps;
};

template <typename T>
EXTROSPECT_KERNEL void NormAndRotateRows(T* row, const int64_t* positions, const float* cos,
                                         const float* sin, const float* q_norm, const float* k_norm,
                                         int64_t rows, Heads heads) {
  const int64_t half = heads.head_dim / 2;
  for (int64_t r = 0; r < rows; ++r, row += heads.row_stride) {
    const int64_t n_rotated = heads.n_query + heads.n_key;
    T* const keys = row + heads.n_query * heads.head_dim;
    if (heads.norm == QkNorm::kWholeProjection) {
      NormInPlace(row, q_norm, heads.eps, heads.n_query * heads.head_dim);
      NormInPlace(keys, k_norm, heads.eps, heads.n_key * heads.head_dim);
    }
    for (int64_t head = 0; head < n_rotated; ++head) {
      T* const x = row + head * heads.head_dim;
      if (heads.norm == QkNorm::kPerHead) {
        NormInPlace(x, head < heads.n_query ? q_norm : k_norm, heads.eps, heads.head_dim);
      }
      Rotate(x, cos + positions[r] * half, sin + positions[r] * half, half);
    }
  }
}

template <typename T, Activation activation>
EXTROSPECT_KERNEL void GatedActivationRows(const T* gate_up, int64_t rows, int64_t d_ff, T* out) {
  for (int64_t row = 0; row < rows; ++row, gate_up += 2 * d_ff, out += d_ff) {
    ForLanes(d_ff, [&](int64_t i, int64_t n) EXTROSPECT_INLINE_LAMBDA {
      const Floats gate = LoadUpTo(gate_up + i, n), up = LoadUpTo(gate_up + d_ff + i, n);
      Floats y;
      if constexpr (activation == Activation::kSilu) {
        y = gate / (1.0f + simd::Exp(-gate));
      } else {
        constexpr float kRootTwoOverPi = 0.7978845608028654f;
        const Floats inner = kRootTwoOverPi * (gate + 0.044715f * gate * gate * gate);
        y = 0.5f * gate * (1.0f + simd::Tanh(inner));
      }
      StoreUpTo(out + i, y * up, n);
    });
  }
}

}  // namespace

template <typename T>
void AddAndNorm(float* residual, const T* delta, const float* post_weight, const float* pre_weight,
                double eps, int64_t rows, int64_t width, T* out) {
  at::parallel_for(0, rows, kGrain, [&](int64_t begin, int64_t end) {
    AddAndNormRows(residual + begin * width, delta == nullptr ? nullptr : delta + begin * width,
                   post_weight, pre_weight, static_cast<float>(eps), end - begin, width,
                   out + begin * width);
  });
}

template <typename T>
void NormAndRotate(T* qkv, const int64_t* positions, const float* cos, const float* sin,
                   const float* q_norm, const float* k_norm, int64_t rows,
                   const Architecture& architecture) {
  const Heads heads{architecture.n_heads,  architecture.n_kv_heads,
                    architecture.head_dim, architecture.qkv_size(),
                    architecture.qk_norm,  static_cast<float>(architecture.norm_eps)};
  at::parallel_for(0, rows, kGrain, [&](int64_t begin, int64_t end) {
    NormAndRotateRows(qkv + begin * heads.row_stride, positions + begin, cos, sin, q_norm, k_norm,
                      end - begin, heads);
  });
}

template <typename T>
void GatedActivation(const T* gate_up, Activation activation, int64_t rows, int64_t d_ff, T* out) {
  const auto kernel = activation == Activation::kSilu
                          ? GatedActivationRows<T, Activation::kSilu>
                          : GatedActivationRows<T, Activation::kGeluTanh>;
  at::parallel_for(0, rows, kGrain, [&](int64_t begin, int64_t end) {
    kernel(gate_up + begin * 2 * d_ff, end - begin, d_ff, out + begin * d_ff);
  });
}

#define EXTROSPECT_INSTANTIATE(T)                                                              \
  template void AddAndNorm<T>(float*, const T*, const float*, const float*, double, int64_t,   \
                              int64_t, T*);                                                    \
  template void NormAndRotate<T>(T*, const int64_t*, const float*, const float*, const float*, \
                                 const float*, int64_t, const Architecture&);                  \
  template void GatedActivation<T>(const T*, Activation, int64_t, int64_t, T*);
EXTROSPECT_INSTANTIATE(float)
EXTROSPECT_INSTANTIATE(c10::BFloat16)
#undef EXTROSPECT_INSTANTIATE

}  // namespace extrospect::cpu
