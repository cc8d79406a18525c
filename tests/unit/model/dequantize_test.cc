#include "model/files/dequantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/error.h"

namespace extrospect {
namespace {

// Every half-precision number, against arithmetic in double precision.
TEST(DequantizeTest, ConvertsEveryHalf) {
  std::vector<uint16_t> halves(1 << 16);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  std::vector<float> values(halves.size());
  Dequantize(GgmlType::kF16, std::as_bytes(std::span(halves)), values);
  for (size_t i = 0; i < halves.size(); ++i) {
    const int exponent = (i >> 10) & 31;
    const int fraction = i & 1023;
    double expected =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31) {
      expected = fraction == 0 ? std::numeric_limits<double>::infinity()
                               : std::numeric_limits<double>::quiet_NaN();
    }
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(values[i])) << i;
    } else {
      EXPECT_EQ(std::abs(values[i]), expected) << i;
    }
    EXPECT_EQ(std::signbit(values[i]), i >= 0x8000) << i;
  }
}

TEST(DequantizeTest, ReadsAndWritesNoMoreThanItIsGiven) {
  for (const GgmlTypeInfo& info : AllGgmlTypes()) {
    for (const int64_t blocks : {0, 1, 3}) {
      // At the ends of allocations of their own, where a sanitizer sees a step too far.
      std::vector<std::byte> in(blocks * info.block_bytes, std::byte{1});
      std::vector<float> out(blocks * info.block_elements, -1);
      Dequantize(info.type, in, out);
      if (blocks == 0) continue;
      EXPECT_NE(out.back(), -1) << info.name;
    }
  }
}

TEST(DequantizeTest, RefusesOtherSizes) {
  for (const GgmlTypeInfo& info : AllGgmlTypes()) {
    std::vector<std::byte> in(2 * info.block_bytes + 1);
    std::vector<float> out(2 * info.block_elements + 1);
    const std::span<const std::byte> all_in(in);
    const std::span<float> all_out(out);
    EXPECT_THROW(Dequantize(info.type, all_in, all_out.first(out.size() - 1)), Error);
    EXPECT_THROW(Dequantize(info.type, all_in.first(in.size() - 1), all_out), Error);
    EXPECT_THROW(Dequantize(info.type, all_in.first(info.block_bytes), {}), Error);
  }
  EXPECT_THROW(Dequantize(static_cast<GgmlType>(99), {}, {}), Error);
}

TEST(DequantizeTest, RefusesRowsOutsideTheTensor) {
  const std::vector<float> data{1, 2, 3, 4, 5, 6};
  TensorView tensor{.name = "t", .shape = {3, 2}, .bytes = std::as_bytes(std::span(data))};
  std::vector<float> out(4);
  DequantizeRows(tensor, 1, 2, out);
  EXPECT_EQ(out, (std::vector<float>{3, 4, 5, 6}));
  DequantizeRows(tensor, 3, 0, {});
  const int64_t large = std::numeric_limits<int64_t>::max();
  EXPECT_THROW(DequantizeRows(tensor, 2, 2, out), Error);
  EXPECT_THROW(DequantizeRows(tensor, -1, 2, out), Error);
  EXPECT_THROW(DequantizeRows(tensor, 1, -1, out), Error);
  EXPECT_THROW(DequantizeRows(tensor, large, 2, out), Error);
  EXPECT_THROW(DequantizeRows(tensor, 1, large, out), Error);
  EXPECT_THROW(DequantizeRows(tensor, 0, 1, out), Error);
  tensor.bytes = tensor.bytes.first(20);
  EXPECT_THROW(DequantizeRows(tensor, 0, 2, out), Error);
}

TEST(DequantizeTest, TakesTensorsWithoutDimensionsOrElements) {
  const std::vector<float> data{7};
  float out = 0;
  DequantizeRows({.name = "scalar", .bytes = std::as_bytes(std::span(data))}, 0, 1, {&out, 1});
  EXPECT_EQ(out, 7);
  DequantizeRows({.name = "empty", .shape = {4, 0}}, 0, 0, {});
}

}  // namespace
}  // namespace extrospect
