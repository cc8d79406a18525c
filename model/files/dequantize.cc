#include "model/files/dequantize.h"

#include <array>
#include <bit>
#include <cstring>
#include <string>

#include "base/error.h"
#include "model/files/quote.h"

// This file is compiled without contraction of a * b + c to a fused multiply-add (CMakeLists.txt),
// so that equality with the reference does not hang on every product being exact, and without care
// for floating-point traps, which nobody takes and which keep selections from being vectorised.

// Each loop below is one that GCC and Clang turn into vector code for plain x86-64 as well. GCC
// would first unroll loops of 16 steps altogether and then vectorise them badly, or not at all.
#if defined(__GNUC__) && !defined(__clang__)
#define EXTROSPECT_KEEP_LOOP _Pragma("GCC unroll 1")
#else
#define EXTROSPECT_KEEP_LOOP
#endif

namespace extrospect {
namespace {

using Byte = unsigned char;

inline uint16_t Load16(const Byte* in) {
  uint16_t value;
  std::memcpy(&value, in, sizeof(value));
  return value;
}

// IEEE half to single. Rebiasing the exponent is right for normal numbers. Subnormal ones are put
// below a leading one and have it subtracted, which, unlike a multiplication of what would be a
// subnormal float, is as fast as the rest and does not depend on the flush-to-zero flag.
inline float HalfToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t magnitude = static_cast<uint32_t>(half & 0x7fffu) << 13;
  const uint32_t exponent = magnitude & 0x0f800000u;
  const uint32_t normal = magnitude + (112u << 23);
  const float with_leading_one = std::bit_cast<float>(magnitude + (113u << 23));
  const uint32_t subnormal = std::bit_cast<uint32_t>(with_leading_one - 0x1p-14f);
  const uint32_t infinite = magnitude + (224u << 23);  // infinities and NaNs
  uint32_t bits = exponent == 0 ? subnormal : normal;
  bits = exponent == 0x0f800000u ? infinite : bits;
  return std::bit_cast<float>(bits | sign);
}

inline float LoadHalf(const Byte* in) { return HalfToFloat(Load16(in)); }

// Blocks of 32 elements: the first 16 are the low halves of 16 packed bytes, the others the high
// halves.
inline void BlockQ4_0(const Byte* in, float* out) {
  const float scale = LoadHalf(in);
  const Byte* const low = in + 2;
  EXTROSPECT_KEEP_LOOP
  for (int i = 0; i < 16; ++i) {
    out[i] = scale * static_cast<float>((low[i] & 15) - 8);
    out[i + 16] = scale * static_cast<float>((low[i] >> 4) - 8);
  }
}

inline void BlockQ4_1(const Byte* in, float* out) {
  const float scale = LoadHalf(in);
  const float minimum = LoadHalf(in + 2);
  const Byte* const low = in + 4;
  EXTROSPECT_KEEP_LOOP
  for (int i = 0; i < 16; ++i) out[i] = scale * static_cast<float>(low[i] & 15) + minimum;
  EXTROSPECT_KEEP_LOOP
  for (int i = 0; i < 16; ++i) out[i + 16] = scale * static_cast<float>(low[i] >> 4) + minimum;
}

// Element i's fifth bit is bit i of a 32-bit word. Testing it against a constant vectorises where a
// shift by i does not.
constexpr auto kBit = [] {
  std::array<uint32_t, 32> bits{};
  for (int i = 0; i < 32; ++i) bits[i] = uint32_t{1} << i;
  return bits;
}();

inline void BlockQ5_0(const Byte* in, float* out) {
  const float scale = LoadHalf(in);
  const uint32_t fifth = Load16(in + 2) | static_cast<uint32_t>(Load16(in + 4)) << 16;
  const Byte* const low = in + 6;
  EXTROSPECT_KEEP_LOOP
  for (int i = 0; i < 16; ++i) {
    const int first = (low[i] & 15) + ((fifth & kBit[i]) != 0 ? 16 : 0);
    const int second = (low[i] >> 4) + ((fifth & kBit[i + 16]) != 0 ? 16 : 0);
    out[i] = scale * static_cast<float>(first - 16);
    out[i + 16] = scale * static_cast<float>(second - 16);
  }
}

inline void BlockQ5_1(const Byte* in, float* out) {
  const float scale = LoadHalf(in);
  const float minimum = LoadHalf(in + 2);
  const uint32_t fifth = Load16(in + 4) | static_cast<uint32_t>(Load16(in + 6)) << 16;
  const Byte* const low = in + 8;
  EXTROSPECT_KEEP_LOOP
  for (int i = 0; i < 16; ++i) {
    const int first = (low[i] & 15) + ((fifth & kBit[i]) != 0 ? 16 : 0);
    const int second = (low[i] >> 4) + ((fifth & kBit[i + 16]) != 0 ? 16 : 0);
    out[i] = scale * static_cast<float>(first) + minimum;
    out[i + 16] = scale * static_cast<float>(second) + minimum;
  }
}

inline void BlockQ8_0(const Byte* in, float* out) {
  const float scale = LoadHalf(in);
  const Byte* const values = in + 2;
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(static_cast<int8_t>(values[i])) * scale;
}

// Q4_K and Q5_K: eight groups of 32 elements, each with a 6-bit scale and a 6-bit minimum. Bytes
// 0–3 and 4–7 hold those of groups 0–3 in their low six bits. Bytes 8–11 hold the low four bits of
// the scales (low halves) and minima (high halves) of groups 4–7, whose two high bits are the high
// bits of bytes 0–3 and 4–7.
struct GroupScale {
  float scale, minimum;
};

inline GroupScale LoadGroupScale(const Byte* packed, int group, float scale, float minimum) {
  const int i = group & 3;
  const bool first = group < 4;
  const int s = first ? packed[i] & 63 : (packed[i + 8] & 15) | (packed[i] >> 6) << 4;
  const int m = first ? packed[i + 4] & 63 : (packed[i + 8] >> 4) | (packed[i + 4] >> 6) << 4;
  return {scale * static_cast<float>(s), minimum * static_cast<float>(m)};
}

// 32 packed bytes hold two groups: the low halves are the one, the high halves the next.
inline void BlockQ4_K(const Byte* in, float* out) {
  const float scale = LoadHalf(in);
  const float minimum = LoadHalf(in + 2);
  const Byte* const packed = in + 4;
  for (int pair = 0; pair < 4; ++pair) {
    const GroupScale a = LoadGroupScale(packed, 2 * pair, scale, minimum);
    const GroupScale b = LoadGroupScale(packed, 2 * pair + 1, scale, minimum);
    const Byte* const low = in + 16 + 32 * pair;
    float* const to = out + 64 * pair;
    for (int i = 0; i < 32; ++i) {
      to[i] = a.scale * static_cast<float>(low[i] & 15) - a.minimum;
      to[i + 32] = b.scale * static_cast<float>(low[i] >> 4) - b.minimum;
    }
  }
}

// As Q4_K; the fifth bit of element i of group g is bit g of byte i of 32 bytes more.
inline void BlockQ5_K(const Byte* in, float* out) {
  const float scale = LoadHalf(in);
  const float minimum = LoadHalf(in + 2);
  const Byte* const packed = in + 4;
  const Byte* const fifth = in + 16;
  for (int pair = 0; pair < 4; ++pair) {
    const GroupScale a = LoadGroupScale(packed, 2 * pair, scale, minimum);
    const GroupScale b = LoadGroupScale(packed, 2 * pair + 1, scale, minimum);
    const Byte* const low = in + 48 + 32 * pair;
    float* const to = out + 64 * pair;
    for (int i = 0; i < 32; ++i) {
      const int bits = fifth[i] >> (2 * pair);
      to[i] = a.scale * static_cast<float>((low[i] & 15) | (bits & 1) << 4) - a.minimum;
      to[i + 32] = b.scale * static_cast<float>((low[i] >> 4) | (bits & 2) << 3) - b.minimum;
    }
  }
}

// Two halves of 128 elements, each of four runs of 32. Of a half's 64 bytes of low bits the first
// 32 hold runs 0 (low halves) and 2 (high halves), the others runs 1 and 3; a byte of its 32 bytes
// of high bits holds two bits for each of the runs. Every 16 elements have a signed 8-bit scale.
inline void BlockQ6_K(const Byte* in, float* out) {
  const float scale = LoadHalf(in + 208);
  for (int half = 0; half < 2; ++half) {
    const Byte* const low = in + 64 * half;
    const Byte* const high = in + 128 + 32 * half;
    const Byte* const scales = in + 192 + 8 * half;
    for (int run = 0; run < 4; ++run) {
      const Byte* const from = low + 32 * (run & 1);
      const int low_shift = 4 * (run >> 1);
      const int high_shift = 2 * run;
      for (int group = 0; group < 2; ++group) {
        const float d = scale * static_cast<float>(static_cast<int8_t>(scales[2 * run + group]));
        float* const to = out + 128 * half + 32 * run + 16 * group;
        EXTROSPECT_KEEP_LOOP
        for (int i = 0; i < 16; ++i) {
          const int j = 16 * group + i;
          const int bits = ((from[j] >> low_shift) & 15) | ((high[j] >> high_shift) & 3) << 4;
          to[i] = d * static_cast<float>(bits - 32);
        }
      }
    }
  }
}

void DequantizeBlocks(GgmlType type, const Byte* __restrict in, int64_t blocks,
                      float* __restrict out) {
  switch (type) {
    case GgmlType::kF32:
      std::memcpy(out, in, static_cast<size_t>(blocks) * sizeof(float));
      return;
    case GgmlType::kF16:
      for (int64_t i = 0; i < blocks; ++i) out[i] = LoadHalf(in + 2 * i);
      return;
    case GgmlType::kBF16:
      for (int64_t i = 0; i < blocks; ++i) {
        out[i] = std::bit_cast<float>(static_cast<uint32_t>(Load16(in + 2 * i)) << 16);
      }
      return;
    case GgmlType::kQ4_0:
      for (int64_t i = 0; i < blocks; ++i) BlockQ4_0(in + 18 * i, out + 32 * i);
      return;
    case GgmlType::kQ4_1:
      for (int64_t i = 0; i < blocks; ++i) BlockQ4_1(in + 20 * i, out + 32 * i);
      return;
    case GgmlType::kQ5_0:
      for (int64_t i = 0; i < blocks; ++i) BlockQ5_0(in + 22 * i, out + 32 * i);
      return;
    case GgmlType::kQ5_1:
      for (int64_t i = 0; i < blocks; ++i) BlockQ5_1(in + 24 * i, out + 32 * i);
      return;
    case GgmlType::kQ8_0:
      for (int64_t i = 0; i < blocks; ++i) BlockQ8_0(in + 34 * i, out + 32 * i);
      return;
    case GgmlType::kQ4_K:
      for (int64_t i = 0; i < blocks; ++i) BlockQ4_K(in + 144 * i, out + 256 * i);
      return;
    case GgmlType::kQ5_K:
      for (int64_t i = 0; i < blocks; ++i) BlockQ5_K(in + 176 * i, out + 256 * i);
      return;
    case GgmlType::kQ6_K:
      for (int64_t i = 0; i < blocks; ++i) BlockQ6_K(in + 210 * i, out + 256 * i);
      return;
  }
}

}  // namespace

void Dequantize(GgmlType type, std::span<const std::byte> in, std::span<float> out) {
  const GgmlTypeInfo& info = Info(type);
  const size_t blocks = in.size() / static_cast<size_t>(info.block_bytes);
  if (in.size() % static_cast<size_t>(info.block_bytes) != 0 ||
      out.size() != blocks * static_cast<size_t>(info.block_elements)) {
    throw Error("cannot convert tensor elements to float32")
        .Expected("whole " + std::string(info.name) + " blocks (" +
                  std::to_string(info.block_bytes) + " bytes, " +
                  std::to_string(info.block_elements) + " elements each)")
        .Found(std::to_string(in.size()) + " bytes for " + std::to_string(out.size()) +
               " elements");
  }
  if (blocks == 0) return;
  DequantizeBlocks(type, reinterpret_cast<const Byte*>(in.data()), static_cast<int64_t>(blocks),
                   out.data());
}

void DequantizeRows(const TensorView& tensor, int64_t first_row, int64_t row_count,
                    std::span<float> out) {
  const int64_t columns = tensor.shape.empty() ? 1 : tensor.shape.back();
  const int64_t rows = columns == 0 ? 0 : tensor.elements() / columns;
  const auto row_bytes = CountBytes(tensor.type, columns);
  if (first_row < 0 || row_count < 0 || row_count > rows - first_row || !row_bytes ||
      tensor.bytes.size() != *row_bytes * static_cast<uint64_t>(rows)) {
    throw Error("cannot read rows of tensor")
        .At("tensor " + Quote(tensor.name))
        .Expected("rows of " + ShapeText(tensor.shape) + " in " +
                  std::to_string(tensor.bytes.size()) + " bytes")
        .Found(std::to_string(row_count) + " rows from row " + std::to_string(first_row));
  }
  Dequantize(tensor.type,
             tensor.bytes.subspan(static_cast<uint64_t>(first_row) * *row_bytes,
                                  static_cast<uint64_t>(row_count) * *row_bytes),
             out);
}

}  // namespace extrospect
