// Reads what the `safetensors` Python package wrote (tools/fixtures/make_safetensors.py), and
// writes the same bytes.
#include "model/files/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/file.h"
#include "model/files/dequantize.h"

namespace extrospect {
namespace {

const std::filesystem::path kFixtures = "tests/parity/fixtures/safetensors";

std::vector<float> Values(const TensorView& tensor) {
  std::vector<float> values(tensor.elements());
  Dequantize(tensor.type, tensor.bytes, values);
  return values;
}

const std::vector<float> kNumbers{-2.5, -1.5, -0.5, 0.5, 1.5, 2.5};

TEST(SafetensorsParityTest, ReadsAFile) {
  const SafetensorsFile file(kFixtures / "small.safetensors");
  EXPECT_EQ(file.entries().size(), 5u);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.Get("a.f16").type, GgmlType::kF16);
  EXPECT_EQ(file.Get("a.f16").shape, (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(file.Get("b.bf16").type, GgmlType::kBF16);
  EXPECT_EQ(file.Get("b.bf16").shape, (std::vector<int64_t>{2, 3}));
  for (const char* const name : {"a.f16", "b.bf16", "ä \"quoted\"\n"}) {
    EXPECT_EQ(Values(file.Get(name)), kNumbers) << name;
  }
  EXPECT_EQ(Values(file.Get("scalar")), std::vector<float>{7});
  EXPECT_EQ(file.Get("empty").shape, (std::vector<int64_t>{0, 4}));
}

TEST(SafetensorsParityTest, WritesTheSameBytes) {
  const auto path = kFixtures / "small.safetensors";
  const SafetensorsFile file(path);
  std::vector<TensorView> tensors;
  for (const auto& [name, entry] : file.entries()) tensors.push_back(file.Get(name));
  const auto copy = std::filesystem::path(testing::TempDir()) / "safetensors_test_copy.safetensors";
  WriteSafetensors(copy, tensors, file.metadata());
  EXPECT_EQ(ReadFile(copy), ReadFile(path));
}

TEST(SafetensorsParityTest, ReadsAShardedModel) {
  const SafetensorsModel model(kFixtures / "sharded");
  EXPECT_EQ(model.names(), (std::vector<std::string>{"ids", "x", "y"}));
  EXPECT_EQ(model.files().size(), 2u);
  EXPECT_EQ(Values(model.Get("x")), kNumbers);
  EXPECT_EQ(Values(model.Get("y")), kNumbers);
  EXPECT_EQ(model.Get("y").shape, (std::vector<int64_t>{2, 3}));
}

}  // namespace
}  // namespace extrospect
