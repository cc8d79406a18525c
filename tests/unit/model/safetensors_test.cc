#include "model/files/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "base/random.h"
#include "model/files/dequantize.h"
#include "tests/unit/model/error_message.h"

namespace extrospect {
namespace {

// A path of this test's own, with nothing there.
std::filesystem::path TemporaryPath(const std::string& name) {
  const auto path = std::filesystem::path(testing::TempDir()) / ("safetensors_test_" + name);
  std::filesystem::remove_all(path);
  return path;
}

// A file of the given header and so many bytes of data.
std::string FileOf(const std::string& header, size_t data_bytes, int64_t length = -1) {
  const uint64_t size = length < 0 ? header.size() : static_cast<uint64_t>(length);
  std::string file(sizeof(size), '\0');
  std::memcpy(file.data(), &size, sizeof(size));
  file += header;
  for (size_t i = 0; i < data_bytes; ++i) file += static_cast<char>(i);
  return file;
}

SafetensorsFile Open(const std::string& bytes) {
  return SafetensorsFile(std::as_bytes(std::span(bytes)), "test.safetensors");
}

std::string OpenMessage(const std::string& header, size_t data_bytes) {
  const std::string bytes = FileOf(header, data_bytes);
  return MessageOf([&] { Open(bytes); });
}

// Opens a file with this header and `data_bytes` of data.
#define EXPECT_REFUSED(text, header, data_bytes) \
  EXPECT_PRED2(Contains, OpenMessage(header, data_bytes), text)

const std::string kGood = R"({"__metadata__":{"format":"pt"},)"
                          R"("a":{"dtype":"F32","shape":[2,1],"data_offsets":[4,12]},)"
                          R"("b":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},)"
                          R"("ids":{"dtype":"I64","shape":[1],"data_offsets":[12,20]},)"
                          R"("none":{"dtype":"F16","shape":[0,3],"data_offsets":[12,12]}}  )";

TEST(SafetensorsTest, ReadsTensorsAndMetadata) {
  const std::string bytes = FileOf(kGood, 20);
  const SafetensorsFile file = Open(bytes);
  EXPECT_EQ(file.entries().size(), 4u);
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "pt"}}));
  const TensorView a = file.Get("a");
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.type, GgmlType::kF32);
  EXPECT_EQ(a.shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(a.bytes.size(), 8u);
  EXPECT_EQ(a.bytes[0], std::byte{4});
  EXPECT_EQ(file.Get("b").type, GgmlType::kBF16);
  EXPECT_EQ(file.Get("none").bytes.size(), 0u);
  EXPECT_EQ(file.Find("c"), std::nullopt);
  EXPECT_PRED2(Contains, MessageOf([&] { file.Get("c"); }), "tensor \"c\"");
}

TEST(SafetensorsTest, NamesTensorsOfOtherTypesWhenTheyAreRead) {
  const std::string bytes = FileOf(kGood, 20);
  const SafetensorsFile file = Open(bytes);
  EXPECT_EQ(file.entries().at("ids").dtype, "I64");
  EXPECT_PRED2(Contains, MessageOf([&] { file.Get("ids"); }), "tensor \"ids\"");
  EXPECT_PRED2(Contains, MessageOf([&] { file.Find("ids"); }), "found: \"I64\"");
}

TEST(SafetensorsTest, RefusesEveryTruncation) {
  const std::string whole = FileOf(kGood, 20);
  for (size_t size = 0; size < whole.size(); ++size) {
    std::string bytes = whole.substr(0, size);
    bytes.shrink_to_fit();  // so that a sanitizer sees the end
    EXPECT_NE(MessageOf([&] { Open(bytes); }), "") << size;
  }
}

TEST(SafetensorsTest, SurvivesDamage) {
  const std::string whole = FileOf(kGood, 20);
  const auto read_all = [](const std::string& bytes) {
    const SafetensorsFile file = Open(bytes);
    for (const auto& [name, entry] : file.entries()) {
      const auto tensor = file.Find(name);
      std::vector<float> values(tensor->elements());
      Dequantize(tensor->type, tensor->bytes, values);
    }
  };
  int refused = 0;
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string bytes = whole;
    bytes[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    refused += MessageOf([&] { read_all(bytes); }) != "";
  }
  EXPECT_GT(refused, 1000);
  RandomStream random(1, "safetensors damage");
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = whole;
    for (uint64_t n = random.Below(4) + 1; n > 0; --n) {
      // Digits and brackets get further than random bytes do.
      const char replacement = "0123456789{}[]\",:e-\xff"[random.Below(20)];
      bytes[random.Below(whole.size())] = replacement;
    }
    MessageOf([&] { read_all(bytes); });
  }
}

TEST(SafetensorsTest, RefusesHeadersThatCannotBe) {
  const auto message = [](int64_t length) {
    const std::string bytes = FileOf("{}", 0, length);
    return MessageOf([&] { Open(bytes); });
  };
  EXPECT_EQ(message(2), "");
  EXPECT_PRED2(Contains, message(3), "file ends too early");
  EXPECT_PRED2(Contains, message(100'000'000), "file ends too early");
  EXPECT_PRED2(Contains, message(100'000'001), "at most 100000000 bytes");
  EXPECT_PRED2(Contains, message(std::numeric_limits<int64_t>::max()), "not a safetensors file");
  EXPECT_PRED2(Contains, message(0), "a JSON object");
  EXPECT_REFUSED("a JSON object", " {}", 0);
  EXPECT_REFUSED("well-formed JSON", "{", 0);
  EXPECT_REFUSED("well-formed JSON", "{} {}", 0);
  EXPECT_REFUSED("well-formed JSON", "{\"\xff\":{}}", 0);
  EXPECT_REFUSED("\"dtype\"", R"({"a":5})", 0);
  EXPECT_REFUSED("\"dtype\"", R"({"a":[5]})", 0);
  EXPECT_REFUSED("an array in \"a\"", R"({"a":)" + std::string(1000000, '['), 0);
  EXPECT_REFUSED("an object in \"a\"", R"({"a":{"a":{"a":{}}}})", 0);
  EXPECT_REFUSED("fewer fields", R"({"a":{"dtype":"F32","shape":[]}})", 0);
  EXPECT_REFUSED("metadata", R"({"__metadata__":{"a":5}})", 0);
}

// A header with one tensor.
std::string Tensor(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"t":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

TEST(SafetensorsTest, RefusesDamagedTensors) {
  EXPECT_EQ(OpenMessage(Tensor("F32", "[2]", "[0,8]"), 8), "");
  EXPECT_EQ(OpenMessage(Tensor("F32", "[]", "[0,4]"), 4), "");
  EXPECT_EQ(OpenMessage(Tensor("NEW", "[2]", "[0,5]"), 5), "");
  EXPECT_REFUSED("within the file", Tensor("F32", "[2]", "[0,8]"), 7);
  EXPECT_REFUSED("within the file",
                 Tensor("F32", "[2]", "[9223372036854775799,9223372036854775807]"), 8);
  EXPECT_REFUSED("[begin, end]", Tensor("F32", "[2]", "[8,0]"), 8);
  EXPECT_REFUSED("[begin, end]", Tensor("F32", "[2]", "[0,4,8]"), 8);
  EXPECT_REFUSED("[begin, end]", Tensor("F32", "[2]", "[]"), 8);
  EXPECT_REFUSED("as the shape takes", Tensor("F32", "[3]", "[0,8]"), 8);
  EXPECT_REFUSED("as the shape takes", Tensor("F32", "[2]", "[0,9]"), 9);
  EXPECT_REFUSED("as the shape takes", Tensor("I64", "[2]", "[0,8]"), 8);
  EXPECT_REFUSED("as the shape takes", Tensor("F32", "[0]", "[0,8]"), 8);
  EXPECT_REFUSED("as the shape takes", Tensor("F32", "[4611686018427387906]", "[0,8]"), 8);
  EXPECT_REFUSED("elements", Tensor("F32", "[4294967296,4294967296]", "[0,0]"), 0);
  EXPECT_REFUSED("elements", Tensor("F32", "[0,4294967296,4294967296]", "[0,0]"), 0);
  EXPECT_REFUSED("2^63", Tensor("F32", "[9223372036854775808]", "[0,8]"), 8);
  EXPECT_REFUSED("negative", Tensor("F32", "[-2]", "[0,8]"), 8);
  EXPECT_REFUSED("fractional", Tensor("F32", "[2.0]", "[0,8]"), 8);
  EXPECT_REFUSED("fractional", Tensor("F32", "[36893488147419103232]", "[0,8]"), 8);
  EXPECT_REFUSED("at most 8", Tensor("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4);
}

TEST(SafetensorsTest, RefusesExtentsThatDoNotFitTogether) {
  const auto message = [](const std::string& name, const std::string& offsets, size_t data_bytes) {
    return OpenMessage(R"({"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},")" + name +
                           R"(":{"dtype":"F16","shape":[2],"data_offsets":)" + offsets + "}}",
                       data_bytes);
  };
  EXPECT_EQ(message("b", "[4,8]", 8), "");
  EXPECT_PRED2(Contains, message("a", "[4,8]", 8), "every name once");
  EXPECT_PRED2(Contains, message("b", "[0,4]", 4), "overlap");
  EXPECT_PRED2(Contains, message("b", "[2,6]", 6), "overlap");
  EXPECT_PRED2(Contains, message("b", "[6,10]", 10), "gap");
  EXPECT_PRED2(Contains, message("b", "[4,8]", 9), "data of no tensor");
}

TEST(SafetensorsTest, RefusesFieldsThatComeTwiceOrAreUnknown) {
  EXPECT_REFUSED("every name once",
                 R"({"a":{"dtype":"F32","dtype":"F16","shape":[],"data_offsets":[0,4]}})", 4);
  EXPECT_REFUSED("every name once",
                 R"({"a":{"dtype":"F32","shape":[],"shape":[],"data_offsets":[0,4]}})", 4);
  EXPECT_REFUSED("every name once", R"({"__metadata__":{"a":"b","a":"c"}})", 0);
  EXPECT_REFUSED("every name once", R"({"__metadata__":{},"__metadata__":{}})", 0);
  EXPECT_REFUSED("\"more\"", R"({"a":{"dtype":"F32","shape":[],"data_offsets":[0,4],"more":"x"}})",
                 4);
}

TEST(SafetensorsWriterTest, WritesTheSameBytesInWhateverOrder) {
  const std::vector<float> data{1, 2, 3, 4};
  const auto bytes = std::as_bytes(std::span(data));
  std::vector<TensorView> tensors = {
      {.name = "half", .type = GgmlType::kF16, .shape = {2, 4}, .bytes = bytes},
      {.name = "z", .shape = {4}, .bytes = bytes},
      {.name = "brain", .type = GgmlType::kBF16, .shape = {8}, .bytes = bytes},
      {.name = "a", .shape = {1}, .bytes = bytes.first(4)},
  };
  const auto path = TemporaryPath("written.safetensors");
  WriteSafetensors(path, tensors, {{"b", "2"}, {"a", "1"}});
  const std::string first = ReadFile(path);
  std::swap(tensors[0], tensors[3]);
  WriteSafetensors(path, tensors, {{"a", "1"}, {"b", "2"}});
  EXPECT_EQ(ReadFile(path), first);

  const SafetensorsFile file(path);
  EXPECT_EQ(file.metadata().size(), 2u);
  EXPECT_EQ(file.entries().size(), tensors.size());
  for (const TensorView& tensor : tensors) {
    const TensorView read = file.Get(tensor.name);
    EXPECT_EQ(read.type, tensor.type);
    EXPECT_EQ(read.shape, tensor.shape);
    EXPECT_TRUE(
        std::equal(read.bytes.begin(), read.bytes.end(), tensor.bytes.begin(), tensor.bytes.end()));
  }
}

TEST(SafetensorsWriterTest, WritesTensorsLargerThanItsBuffer) {
  std::vector<float> data((5 << 20) / sizeof(float) + 1);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<float>(i);
  const auto path = TemporaryPath("large.safetensors");
  WriteSafetensors(path, std::vector<TensorView>{{.name = "t",
                                                  .shape = {static_cast<int64_t>(data.size())},
                                                  .bytes = std::as_bytes(std::span(data))}});
  const SafetensorsFile file(path);
  EXPECT_EQ(std::memcmp(file.Get("t").bytes.data(), data.data(), data.size() * sizeof(float)), 0);
}

TEST(SafetensorsWriterTest, RefusesWhatTheFormatCannotHold) {
  const std::vector<float> data{1};
  const TensorView good{.name = "t", .shape = {1}, .bytes = std::as_bytes(std::span(data))};
  const auto path = TemporaryPath("refused.safetensors");
  const auto message = [&](const std::vector<TensorView>& tensors,
                           const std::map<std::string, std::string>& metadata) {
    return MessageOf([&] { WriteSafetensors(path, tensors, metadata); });
  };
  TensorView bad = good;
  EXPECT_PRED2(Contains, message({good, good}, {}), "found: \"t\"");
  bad.name = "__metadata__";
  EXPECT_PRED2(Contains, message({bad}, {}), "__metadata__");
  bad.name = "\xff";
  EXPECT_PRED2(Contains, message({bad}, {}), "UTF-8");
  EXPECT_PRED2(Contains, message({good}, {{"a", "\xff"}}), "UTF-8");
  bad = good;
  bad.shape = {2};
  EXPECT_PRED2(Contains, message({bad}, {}), "F32 [2]");
  bad.shape = {-1, -1};
  EXPECT_PRED2(Contains, message({bad}, {}), "F32 [-1, -1]");
  bad = good;
  bad.type = GgmlType::kQ8_0;
  EXPECT_PRED2(Contains, message({bad}, {}), "Q8_0");
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(SafetensorsModelTest, PrefersTheSingleFile) {
  const auto directory = TemporaryPath("single");
  std::filesystem::create_directories(directory);
  WriteFileAtomically(directory / "model.safetensors", FileOf(kGood, 20));
  WriteFileAtomically(directory / "model.safetensors.index.json", "not even JSON");
  const SafetensorsModel model(directory);
  EXPECT_EQ(model.names(), (std::vector<std::string>{"a", "b", "ids", "none"}));
  EXPECT_EQ(model.Get("b").shape, (std::vector<int64_t>{2}));
  EXPECT_EQ(model.Find("c"), std::nullopt);
  EXPECT_PRED2(Contains, MessageOf([&] { model.Get("c"); }), directory.string());
}

TEST(SafetensorsModelTest, RefusesFilesThatDoNotBelongTogether) {
  const auto directory = TemporaryPath("sharded");
  std::filesystem::create_directories(directory);
  EXPECT_PRED2(Contains, MessageOf([&] { SafetensorsModel model(directory); }),
               "model.safetensors");
  WriteFileAtomically(directory / "one.safetensors", FileOf(kGood, 20));
  const auto index = [&](const std::string& text) {
    WriteFileAtomically(directory / "model.safetensors.index.json", text);
    return MessageOf([&] { SafetensorsModel model(directory); });
  };
  EXPECT_EQ(index(R"({"weight_map":{"a":"one.safetensors"}})"), "");
  EXPECT_PRED2(Contains, index(R"({"weight_map":{"c":"one.safetensors"}})"), "\"c\"");
  EXPECT_PRED2(Contains, index(R"({"weight_map":{"a":"two.safetensors"}})"), "two.safetensors");
}

TEST(SafetensorsIndexTest, ReadsTheWeightMapAlone) {
  const auto files = ParseSafetensorsIndex(
      R"({"metadata":{"total_size":5,"a":[{"weight_map":{"x":1}},null,-1,1.5,true,"s"]},)"
      R"("weight_map":{"a":"f","b":"g"},"weight":"x"})",
      "index");
  EXPECT_EQ(files, (std::map<std::string, std::string, std::less<>>{{"a", "f"}, {"b", "g"}}));
}

TEST(SafetensorsIndexTest, RefusesDamage) {
  const auto message = [](const std::string& text) {
    return MessageOf([&] { ParseSafetensorsIndex(text, "the index"); });
  };
  EXPECT_PRED2(Contains, message(""), "the index");
  for (const char* const text :
       {"", "5", "[]", "{}", "{} x", R"({"weight_map":"a"})", R"({"weight_map":["a"]})",
        R"({"weight_map":{"a":5}})", R"({"weight_map":{"a":{"b":"c"}}})",
        R"({"weight_map":{"a":"f","a":"g"}})", R"({"weight_map":{},"weight_map":{}})"}) {
    EXPECT_NE(message(text), "") << text;
  }
  // Names that lead out of the directory.
  for (const char* const name : {"../f", "/f", "d/f", "..", ".", "", R"(d\\f)", R"(f\u0000)"}) {
    EXPECT_PRED2(Contains, message(R"({"weight_map":{"a":")" + std::string(name) + R"("}})"),
                 "plain name")
        << name;
  }
  EXPECT_PRED2(Contains, message(R"({"a":)" + std::string(1000000, '[')), "16 levels");
}

}  // namespace
}  // namespace extrospect
