// Sixteen floats at a time, in portable vector extensions, for the CPU kernels. A kernel marked
// EXTROSPECT_KERNEL is compiled for several instruction sets, of which the loader picks the best
// that the machine has; everything here is inlined into it.
#pragma once

#include <c10/util/BFloat16.h>

#include <cmath>
#include <cstdint>
#include <cstring>

// Function multiversioning needs the loader's indirect functions, which run before the sanitizers
// are ready.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define EXTROSPECT_KERNEL \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define EXTROSPECT_KERNEL
#endif
#define EXTROSPECT_INLINE __attribute__((always_inline)) inline
// After a lambda's parameters. A lambda that is not inlined is compiled for the baseline only.
#define EXTROSPECT_INLINE_LAMBDA __attribute__((always_inline))

namespace extrospect::simd {

constexpr int64_t kLanes = 16;
using Floats = float __attribute__((vector_size(64)));
using Ints = int32_t __attribute__((vector_size(64)));
using UInts = uint32_t __attribute__((vector_size(64)));
using Halves = uint16_t __attribute__((vector_size(32)));

EXTROSPECT_INLINE Floats Load(const float* p) {
  Floats v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
EXTROSPECT_INLINE void Store(float* p, Floats v) { std::memcpy(p, &v, sizeof v); }

// A bfloat16 is the upper half of a float.
EXTROSPECT_INLINE Floats Load(const c10::BFloat16* p) {
  Halves h;
  std::memcpy(&h, p, sizeof h);
  const UInts bits = __builtin_convertvector(h, UInts) << 16;
  Floats v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}
// Rounds to nearest even, as c10::BFloat16 does. A NaN stays one: the comparison is false for it.
EXTROSPECT_INLINE void Store(c10::BFloat16* p, Floats v) {
  UInts bits;
  std::memcpy(&bits, &v, sizeof bits);
  const UInts rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const UInts quiet = (bits >> 16) | 0x40;
  const UInts is_number = reinterpret_cast<UInts>(v == v);
  const Halves h = __builtin_convertvector((rounded & is_number) | (quiet & ~is_number), Halves);
  std::memcpy(p, &h, sizeof h);
}

// The first n < kLanes elements; the rest is zero, or left alone.
template <typename T>
EXTROSPECT_INLINE Floats LoadSome(const T* p, int64_t n) {
  Floats v = {};
  for (int64_t i = 0; i < n; ++i) v[i] = static_cast<float>(p[i]);
  return v;
}
template <typename T>
EXTROSPECT_INLINE void StoreSome(T* p, Floats v, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] = static_cast<T>(v[i]);
}

EXTROSPECT_INLINE float Sum(Floats v) {
  float sum = 0;
  for (int64_t i = 0; i < kLanes; ++i) sum += v[i];
  return sum;
}
// A NaN in `a` stays: every comparison with it is false.
EXTROSPECT_INLINE Floats Max(Floats a, Floats b) { return a < b ? b : a; }
EXTROSPECT_INLINE Floats Min(Floats a, Floats b) { return a > b ? b : a; }

// e^x to about 1e-7 relative, x clamped to ±87: 2^n · e^r with |r| ≤ ln 2 / 2, and the series of
// e^r to the seventh power.
EXTROSPECT_INLINE Floats Exp(Floats x) {
  x = Min(Max(x, Floats{} - 87.0f), Floats{} + 87.0f);
  const Floats magic = Floats{} + 12582912.0f;  // 1.5 · 2^23: adding it rounds to an integer
  const Floats shifted = x * 1.44269504088896341f + magic;
  const Floats n = shifted - magic;
  const Floats r = (x - n * 0.693145751953125f) - n * 1.428606765330187e-6f;
  Floats series = Floats{} + 1.0f / 5040;
  series = series * r + 1.0f / 720;
  series = series * r + 1.0f / 120;
  series = series * r + 1.0f / 24;
  series = series * r + 1.0f / 6;
  series = series * r + 0.5f;
  series = series * r + 1.0f;
  series = series * r + 1.0f;
  const Ints exponent = (__builtin_convertvector(n, Ints) + 127) << 23;
  Floats power;
  std::memcpy(&power, &exponent, sizeof power);
  return series * power;
}

// tanh x = 1 − 2 / (e^2x + 1).
EXTROSPECT_INLINE Floats Tanh(Floats x) { return 1.0f - 2.0f / (Exp(2.0f * x) + 1.0f); }

template <typename T>
EXTROSPECT_INLINE float MeanSquare(const T* x, int64_t n) {
  Floats sums[2] = {};
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    const Floats a = Load(x + i), b = Load(x + i + kLanes);
    sums[0] += a * a;
    sums[1] += b * b;
  }
  float sum = Sum(sums[0] + sums[1]);
  for (; i < n; ++i) sum += static_cast<float>(x[i]) * static_cast<float>(x[i]);
  return sum / static_cast<float>(n);
}

template <typename T>
EXTROSPECT_INLINE float InverseRms(const T* x, int64_t n, float eps) {
  return 1.0f / std::sqrt(MeanSquare(x, n) + eps);
}

// to[i] = f(i, a lane group that starts at i), over whole groups and then the rest. The two
// callbacks are one generic lambda over (index, count); count == kLanes on the fast path.
template <typename Body>
EXTROSPECT_INLINE void ForLanes(int64_t n, Body body) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) body(i, kLanes);
  if (i < n) body(i, n - i);
}

template <typename T>
EXTROSPECT_INLINE Floats LoadUpTo(const T* p, int64_t count) {
  return count == kLanes ? Load(p) : LoadSome(p, count);
}
template <typename T>
EXTROSPECT_INLINE void StoreUpTo(T* p, Floats v, int64_t count) {
  if (count == kLanes) {
    Store(p, v);
  } else {
    StoreSome(p, v, count);
  }
}

}  // namespace extrospect::simd
