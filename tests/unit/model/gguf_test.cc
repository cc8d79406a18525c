#include "model/files/gguf.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/random.h"
#include "model/files/dequantize.h"
#include "tests/unit/model/error_message.h"
#include "tests/unit/model/gguf_builder.h"

namespace extrospect {
namespace {

constexpr uint32_t kF32 = 0;
constexpr uint32_t kQ8_0 = 8;
constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();

std::string OpenMessage(const GgufBuilder& file) {
  return MessageOf([&] { file.Open(); });
}

#define EXPECT_MESSAGE(text, action) EXPECT_PRED2(Contains, MessageOf(action), text)
#define EXPECT_REFUSED(text, file) EXPECT_PRED2(Contains, OpenMessage(file), text)

// A file with a value of each kind of encoding and two tensors.
GgufBuilder SmallFile() {
  GgufBuilder file;
  file.Header(2, 5).Value("name", "tiny").Value("size", GgufType::kUint32, uint32_t{7});
  file.Array("words", GgufType::kString, 2).Text("one").Text("");
  file.Array("flags", GgufType::kBool, 3).Put(uint8_t{1}).Put(uint8_t{0}).Put(uint8_t{1});
  file.Array("nested", GgufType::kArray, 1).Put(GgufType::kInt8).Put(uint64_t{2}).Put(int16_t{5});
  file.Tensor("a", {3, 2}, kF32, 0).Tensor("b", {32}, kQ8_0, 32);
  return file.Data(32 + 34);
}

// Uses everything that an opened file offers, as a program might.
void ReadAll(const GgufFile& file) {
  for (const auto& entry : file.metadata()) {
    const std::string_view key = entry.first;
    MessageOf([&] { file.GetString(key); });
    MessageOf([&] { file.GetUint(key); });
    MessageOf([&] { file.GetInt(key); });
    MessageOf([&] { file.GetFloat(key); });
    MessageOf([&] { file.GetBool(key); });
    MessageOf([&] { file.GetStrings(key); });
    MessageOf([&] { file.GetInts(key); });
    MessageOf([&] { file.GetFloats(key); });
  }
  for (const TensorView& tensor : file.tensors()) {
    std::vector<float> values(tensor.elements());
    Dequantize(tensor.type, tensor.bytes, values);
  }
}

TEST(GgufTest, ReadsMetadataAndTensors) {
  const GgufBuilder bytes = SmallFile();
  const GgufFile file = bytes.Open();
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(file.GetString("name"), "tiny");
  EXPECT_EQ(file.GetUint("size"), 7u);
  EXPECT_EQ(file.GetStrings("words"), (std::vector<std::string_view>{"one", ""}));
  EXPECT_EQ(file.GetInts("flags"), (std::vector<int64_t>{1, 0, 1}));
  EXPECT_EQ(file.metadata().at("nested").element_type, GgufType::kArray);
  EXPECT_EQ(file.metadata().size(), 5u);

  ASSERT_EQ(file.tensors().size(), 2u);
  const TensorView& a = file.GetTensor("a");
  EXPECT_EQ(a.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(a.type, GgmlType::kF32);
  EXPECT_EQ(a.bytes.size(), 24u);
  EXPECT_EQ(file.GetTensor("b").bytes.size(), 34u);
  EXPECT_EQ(file.GetTensor("b").bytes[0], std::byte{32});
  EXPECT_EQ(file.FindTensor("c"), nullptr);
}

TEST(GgufTest, StaysValidWhenMoved) {
  const auto path = std::filesystem::path(testing::TempDir()) / "gguf_test_moved.gguf";
  WriteFileAtomically(path, SmallFile().bytes);
  GgufFile first(path);
  const std::vector<std::string_view> words = first.GetStrings("words");
  const GgufFile second = std::move(first);
  EXPECT_EQ(words[0], "one");
  EXPECT_EQ(second.GetUint("size"), 7u);
  EXPECT_EQ(second.GetTensor("b").bytes[33], std::byte{65});
}

TEST(GgufTest, ReadsVersion2AndOtherAlignments) {
  GgufBuilder file;
  file.Header(1, 1, 2).Value("general.alignment", GgufType::kUint32, uint32_t{128});
  file.Tensor("a", {1}, kF32, 128).Data(132, 128);
  EXPECT_EQ(file.Open().GetTensor("a").bytes[0], std::byte{128});
}

TEST(GgufTest, NamesFileAndKeyOfMissingAndWrongValues) {
  const GgufBuilder bytes = SmallFile();
  const GgufFile file = bytes.Open();
  EXPECT_EQ(file.FindString("absent"), std::nullopt);
  EXPECT_EQ(file.FindFloats("absent"), std::nullopt);
  EXPECT_MESSAGE("test.gguf", [&] { file.GetUint("absent"); });
  EXPECT_MESSAGE("\"absent\"", [&] { file.GetUint("absent"); });
  EXPECT_MESSAGE("key \"size\"", [&] { file.FindString("size"); });
  EXPECT_MESSAGE("found: 7", [&] { file.GetFloat("size"); });
  EXPECT_MESSAGE("array of 2 values of type string", [&] { file.GetInts("words"); });
  EXPECT_MESSAGE("\"c\"", [&] { file.GetTensor("c"); });
}

TEST(GgufTest, RefusesNumbersThatDoNotFit) {
  GgufBuilder bytes;
  bytes.Header(0, 3).Value("negative", GgufType::kInt8, int8_t{-1});
  bytes.Value("large", GgufType::kUint64, kHuge);
  bytes.Array("larges", GgufType::kUint64, 1).Put(kHuge);
  const GgufFile file = bytes.Open();
  EXPECT_EQ(file.GetInt("negative"), -1);
  EXPECT_MESSAGE("found: -1", [&] { file.GetUint("negative"); });
  EXPECT_EQ(file.GetUint("large"), kHuge);
  EXPECT_MESSAGE("18446744073709551615", [&] { file.GetInt("large"); });
  EXPECT_THROW(file.GetInts("larges"), Error);
}

TEST(GgufTest, RefusesOtherFilesAndVersions) {
  GgufBuilder file;
  EXPECT_REFUSED("not a GGUF file", file);
  file.bytes = "PK\x03\x04";
  EXPECT_REFUSED("found: \"PK\\x03\\x04\"", file);
  EXPECT_REFUSED("version 1", GgufBuilder().Header(0, 0, 1));
  EXPECT_REFUSED("version 4", GgufBuilder().Header(0, 0, 4));
  EXPECT_REFUSED("big-endian", GgufBuilder().Header(0, 0, 0x03000000));
  EXPECT_EQ(OpenMessage(GgufBuilder().Header(0, 0)), "");
}

TEST(GgufTest, RefusesEveryTruncation) {
  const std::string whole = SmallFile().bytes;
  for (size_t size = 0; size < whole.size(); ++size) {
    GgufBuilder file;
    file.bytes = whole.substr(0, size);
    file.bytes.shrink_to_fit();  // so that a sanitizer sees the end
    EXPECT_NE(OpenMessage(file), "") << size;
  }
}

TEST(GgufTest, SurvivesDamage) {
  const std::string whole = SmallFile().bytes;
  int refused = 0;
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    GgufBuilder file;
    file.bytes = whole;
    file.bytes[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    refused += MessageOf([&] { ReadAll(file.Open()); }) != "";
  }
  EXPECT_GT(refused, 500);
  RandomStream random(1, "gguf damage");
  for (int i = 0; i < 20000; ++i) {
    GgufBuilder file;
    file.bytes = whole;
    for (uint64_t n = random.Below(4) + 1; n > 0; --n) {
      file.bytes[random.Below(whole.size())] = static_cast<char>(random.Next());
    }
    MessageOf([&] { ReadAll(file.Open()); });
  }
}

TEST(GgufTest, RefusesCountsThatCannotFit) {
  for (const uint64_t count : {uint64_t{1000}, uint64_t{1} << 61, kHuge}) {
    EXPECT_REFUSED("number of tensors", GgufBuilder().Header(count, 0));
    EXPECT_REFUSED("number of metadata values", GgufBuilder().Header(0, count));
    for (const auto type : {GgufType::kUint8, GgufType::kFloat64, GgufType::kString,
                            GgufType::kArray, GgufType::kBool}) {
      EXPECT_REFUSED("key \"k\"", GgufBuilder().Header(0, 1).Array("k", type, count));
    }
    GgufBuilder key;
    key.Header(0, 1).Put(count).bytes += "key and more";
    EXPECT_REFUSED("file ends too early", key);
  }
}

TEST(GgufTest, RefusesDamagedMetadata) {
  EXPECT_REFUSED("type 13", GgufBuilder().Header(0, 1).Text("k").Put(uint32_t{13}).Put(0));
  EXPECT_REFUSED("type 99",
                 GgufBuilder().Header(0, 1).Array("k", static_cast<GgufType>(99), 0).Put(0));
  EXPECT_REFUSED("0 or 1", GgufBuilder().Header(0, 1).Value("k", GgufType::kBool, uint8_t{2}));
  EXPECT_REFUSED("twice", GgufBuilder().Header(0, 2).Value("k", "a").Value("k", "b"));
  // The message says where: file, key and byte.
  EXPECT_REFUSED("test.gguf, key \"k\", byte 33",
                 GgufBuilder().Header(0, 1).Text("k").Put(uint32_t{13}).Put(0));
}

TEST(GgufTest, LimitsNesting) {
  const auto nested = [](int levels) {
    GgufBuilder file;
    file.Header(0, 1).Array("k", GgufType::kArray, 1);
    for (int i = 2; i < levels; ++i) file.Put(GgufType::kArray).Put(uint64_t{1});
    return file.Put(GgufType::kUint8).Put(uint64_t{1}).Put(uint8_t{1});
  };
  EXPECT_EQ(OpenMessage(nested(4)), "");
  EXPECT_REFUSED("nested too deeply", nested(5));
  EXPECT_REFUSED("nested too deeply", nested(100000));
}

TEST(GgufTest, RefusesBadAlignment) {
  for (const uint32_t alignment : {0u, 48u}) {
    GgufBuilder file;
    file.Header(0, 1).Value("general.alignment", GgufType::kUint32, alignment);
    EXPECT_REFUSED("power of two", file);
  }
  EXPECT_REFUSED("found: string", GgufBuilder().Header(0, 1).Value("general.alignment", "32"));
  GgufBuilder huge;
  huge.Header(1, 1).Value("general.alignment", GgufType::kUint32, uint32_t{1} << 31);
  EXPECT_REFUSED("padding", huge.Tensor("a", {1}, kF32, 0).Data(4));
}

TEST(GgufTest, RefusesDamagedTensors) {
  const auto with = [](std::initializer_list<uint64_t> sizes, uint32_t type, uint64_t offset) {
    return GgufBuilder().Header(1, 0).Tensor("t", sizes, type, offset).Data(64);
  };
  EXPECT_EQ(OpenMessage(with({16}, kF32, 0)), "");
  EXPECT_EQ(OpenMessage(with({}, kF32, 32)), "");
  EXPECT_REFUSED("outside the file", with({17}, kF32, 0));
  EXPECT_REFUSED("outside the file", with({16}, kF32, 32));
  EXPECT_REFUSED("outside the file", with({1}, kF32, kHuge - 31));
  EXPECT_REFUSED("outside the file", with({uint64_t{1} << 40}, kF32, 0));
  EXPECT_REFUSED("multiple of 32", with({1}, kF32, 4));
  EXPECT_REFUSED("blocks of 32", with({16, 2}, kQ8_0, 0));
  EXPECT_REFUSED("sizes from 1", with({4, 0}, kF32, 0));
  EXPECT_REFUSED("sizes from 1", with({kHuge}, kF32, 0));
  EXPECT_REFUSED("elements", with({uint64_t{1} << 32, uint64_t{1} << 32}, kF32, 0));
  EXPECT_REFUSED("impossible tensor shape", with({uint64_t{1} << 62}, kF32, 0));
  EXPECT_REFUSED("at most 4 dimensions", with({1, 1, 1, 1, 1}, kF32, 0));
  EXPECT_REFUSED("type 10 (Q2_K)", with({256}, 10, 0));
  EXPECT_REFUSED("type 1000", with({256}, 1000, 0));
  EXPECT_REFUSED("tensor \"t\"", with({256}, 1000, 0));
}

TEST(GgufTest, RefusesTensorsThatShareNamesOrBytes) {
  const auto with = [](std::string_view name, uint64_t offset) {
    GgufBuilder file;
    file.Header(2, 0).Tensor("t", {9}, kF32, 0).Tensor(name, {1}, kF32, offset);
    return file.Data(128);
  };
  EXPECT_EQ(OpenMessage(with("u", 64)), "");
  EXPECT_REFUSED("tensor appears twice", with("t", 64));
  EXPECT_REFUSED("overlap", with("u", 32));
  EXPECT_REFUSED("overlap", with("u", 0));
}

TEST(GgufTest, QuotesNamesFromTheFile) {
  const std::string name = "\x1b[2J\"" + std::string(1000, 'x');
  const std::string message =
      OpenMessage(GgufBuilder().Header(1, 0).Tensor(name, {1}, 1000, 0).Data(64));
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
  EXPECT_NE(message.find("\\x1b[2J\\\""), std::string::npos);
  EXPECT_LT(message.size(), 600u);
}

}  // namespace
}  // namespace extrospect
