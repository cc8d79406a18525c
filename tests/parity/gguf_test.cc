// Reads what the `gguf` Python package wrote (tools/fixtures/make_gguf.py).
#include "model/files/gguf.h"

#include <gtest/gtest.h>

#include <limits>

#include "model/files/dequantize.h"

namespace extrospect {
namespace {

constexpr char kPath[] = "tests/parity/fixtures/gguf/small.gguf";

TEST(GgufParityTest, ReadsEveryTypeOfMetadata) {
  const GgufFile file{std::filesystem::path(kPath)};
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(file.GetString("general.architecture"), "llama");
  EXPECT_EQ(file.GetUint("general.alignment"), 64u);
  EXPECT_EQ(file.GetUint("test.uint8"), 255u);
  EXPECT_EQ(file.GetInt("test.int8"), -128);
  EXPECT_EQ(file.GetUint("test.uint16"), 65535u);
  EXPECT_EQ(file.GetInt("test.int16"), -32768);
  EXPECT_EQ(file.GetUint("test.uint32"), std::numeric_limits<uint32_t>::max());
  EXPECT_EQ(file.GetInt("test.int32"), std::numeric_limits<int32_t>::min());
  EXPECT_EQ(file.GetUint("test.uint64"), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(file.GetInt("test.int64"), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(file.GetFloat("test.float32"), 0.1f);
  EXPECT_EQ(file.GetFloat("test.float64"), 0.1);
  EXPECT_TRUE(file.GetBool("test.bool"));
  EXPECT_EQ(file.GetString("test.string"), "zwölf Boxkämpfer");
  EXPECT_EQ(file.GetStrings("test.strings"),
            (std::vector<std::string_view>{"<s>", "", "\u2581a", "b\nc"}));
  EXPECT_EQ(file.GetInts("test.ints"),
            (std::vector<int64_t>{3, -1, std::numeric_limits<int32_t>::max()}));
  EXPECT_EQ(file.GetFloats("test.floats"), (std::vector<float>{0.5f, -1.25f}));
  EXPECT_EQ(file.GetInts("test.bools"), (std::vector<int64_t>{1, 0, 1}));
}

std::vector<float> Values(const TensorView& tensor) {
  std::vector<float> values(tensor.elements());
  Dequantize(tensor.type, tensor.bytes, values);
  return values;
}

TEST(GgufParityTest, ReadsTensors) {
  const GgufFile file{std::filesystem::path(kPath)};
  EXPECT_EQ(file.tensors().size(), 6u);
  const std::vector<float> matrix = Values(file.GetTensor("matrix.f32"));
  for (size_t i = 0; i < matrix.size(); ++i) EXPECT_EQ(matrix[i], i / 8.0f);
  EXPECT_EQ(Values(file.GetTensor("matrix.f16")), matrix);
  for (const auto& [name, type] :
       {std::pair("matrix.q4_1", GgmlType::kQ4_1), std::pair("matrix.q8_0", GgmlType::kQ8_0)}) {
    const TensorView& tensor = file.GetTensor(name);
    EXPECT_EQ(tensor.type, type);
    EXPECT_EQ(tensor.shape, (std::vector<int64_t>{2, 64}));
    const std::vector<float> values = Values(tensor);
    for (size_t i = 0; i < matrix.size(); ++i) EXPECT_NEAR(values[i], matrix[i], 0.2);
  }
  EXPECT_EQ(Values(file.GetTensor("vector")), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(file.GetTensor("cube").shape, (std::vector<int64_t>{2, 3, 4}));
  EXPECT_EQ(Values(file.GetTensor("cube"))[23], 23);
}

}  // namespace
}  // namespace extrospect
