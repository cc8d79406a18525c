// Compares with the `gguf` Python package bit for bit (tools/fixtures/make_dequantize.py).
#include "model/files/dequantize.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include "base/file.h"

namespace extrospect {
namespace {

class DequantizeParityTest : public testing::TestWithParam<GgmlTypeInfo> {
 protected:
  void SetUp() override {
    const GgmlTypeInfo& info = GetParam();
    fixture_ =
        ReadFile("tests/parity/fixtures/dequantize/" + std::string(info.name) + ".bin", 1 << 20);
    const size_t block_total = info.block_bytes + info.block_elements * sizeof(float);
    ASSERT_EQ(fixture_.size() % block_total, 0u);
    blocks_ = fixture_.size() / block_total;
    ASSERT_GE(blocks_, 16u);
    expected_.resize(blocks_ * info.block_elements);
    std::memcpy(expected_.data(), fixture_.data() + blocks_ * info.block_bytes,
                expected_.size() * sizeof(float));
  }

  std::span<const std::byte> Input() const {
    return std::as_bytes(std::span(fixture_)).first(blocks_ * GetParam().block_bytes);
  }

  void ExpectSameBits(std::span<const float> values, std::span<const float> expected) const {
    ASSERT_EQ(values.size(), expected.size());
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(values[i]), std::bit_cast<uint32_t>(expected[i]))
          << "element " << i << ": " << values[i] << " for " << expected[i];
    }
  }

  std::string fixture_;
  size_t blocks_ = 0;
  std::vector<float> expected_;
};

TEST_P(DequantizeParityTest, EqualsTheReference) {
  std::vector<float> values(expected_.size());
  Dequantize(GetParam().type, Input(), values);
  ExpectSameBits(values, expected_);
}

TEST_P(DequantizeParityTest, GivesTheSameRowByRow) {
  const GgmlTypeInfo& info = GetParam();
  const TensorView tensor{.name = "t",
                          .type = info.type,
                          .shape = {2, static_cast<int64_t>(blocks_) / 2, info.block_elements},
                          .bytes = Input()};
  const std::span<const float> expected(expected_);
  for (size_t row = 0; row < blocks_; ++row) {
    const size_t count = std::min<size_t>(row % 3 + 1, blocks_ - row);
    std::vector<float> values(count * info.block_elements);
    DequantizeRows(tensor, row, count, values);
    ExpectSameBits(values, expected.subspan(row * info.block_elements, values.size()));
  }
}

INSTANTIATE_TEST_SUITE_P(All, DequantizeParityTest,
                         testing::ValuesIn(AllGgmlTypes().begin(), AllGgmlTypes().end()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace extrospect
