#include "records/activations.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "tests/unit/records/origin.h"

namespace extrospect {
namespace {

constexpr int64_t kWidth = 4;

ActivationLayout Layout() {
  ActivationLayout layout;
  layout.transcripts = {{"a", "{}", 0, 2, 5}, {"b", "{}", 2, 1, 3}};
  layout.transcript = {0, 0, 1};
  layout.position = {3, 4, 2};
  layout.token_id = {7, 8, 9};
  return layout;
}

const std::vector<std::string> kHooks = {"blocks.0.hook_resid_post", "blocks.1.hook_resid_post"};

std::filesystem::path Path(const char* name) {
  const auto path = std::filesystem::path(testing::TempDir()) / name;
  std::filesystem::remove(path);
  return path;
}

std::vector<float> Row(float start) { return {start, start + 1, start + 2, start + 3}; }

std::span<const std::byte> Bytes(const std::vector<float>& values) {
  return std::as_bytes(std::span(values));
}

void WriteTranscript(ActivationWriter& writer, uint32_t index) {
  for (size_t hook = 0; hook < kHooks.size(); ++hook) {
    if (index == 0) {
      writer.Write(hook, 0, Bytes(Row(10)));
      writer.Write(hook, 1, Bytes(Row(20)));
    } else {
      writer.Write(hook, 2, Bytes(Row(30)));
    }
  }
  writer.MarkDone(std::vector<uint32_t>{index});
}

TEST(ActivationsTest, ReadsBackWhatWasWritten) {
  const auto path = Path("roundtrip.h5");
  ActivationWriter writer(path, TestOrigin(kWidth), Layout(), kHooks, StoreType::kFloat32, false);
  EXPECT_THROW(ActivationReader{path}, Error);  // incomplete
  EXPECT_THROW(writer.Finish(), Error);
  WriteTranscript(writer, 1);
  WriteTranscript(writer, 0);
  writer.Finish();
  const ActivationReader reader(path);
  EXPECT_EQ(reader.hooks(), kHooks);
  EXPECT_EQ(reader.layout().transcripts[1].id, "b");
  EXPECT_EQ(reader.layout().token_id, Layout().token_id);
  std::vector<float> rows(2 * kWidth);
  reader.Read(kHooks[1], 1, 2, rows);
  EXPECT_EQ(rows, std::vector<float>({20, 21, 22, 23, 30, 31, 32, 33}));
  EXPECT_THROW(reader.Read(kHooks[1], 2, 2, rows), Error);
  EXPECT_THROW(reader.Read("blocks.9.hook_resid_post", 0, 2, rows), Error);
}

TEST(ActivationsTest, BFloat16IsTheUpperHalfOfAFloat) {
  const auto path = Path("bf16.h5");
  ActivationLayout layout;
  layout.transcripts = {{"a", "{}", 0, 1, 1}};
  layout.transcript = {0};
  layout.position = {0};
  layout.token_id = {1};
  ActivationWriter writer(path, TestOrigin(kWidth), layout, {kHooks[0]}, StoreType::kBFloat16,
                          false);
  const std::vector<float> values = {1.0f, -2.5f, 3e38f, 0.0f};
  std::vector<uint16_t> halves;
  for (const float value : values) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    halves.push_back(static_cast<uint16_t>(bits >> 16));
  }
  writer.Write(0, 0, std::as_bytes(std::span(halves)));
  writer.MarkDone(std::vector<uint32_t>{0});
  writer.Finish();
  std::vector<float> rows(kWidth);
  ActivationReader(path).Read(kHooks[0], 0, 1, rows);
  EXPECT_EQ(rows[0], 1.0f);
  EXPECT_EQ(rows[1], -2.5f);
  EXPECT_NEAR(rows[2] / 3e38f, 1.0f, 0.01f);
}

TEST(ActivationsTest, ResumesWhereItStoppedAndOnlyTheSameRun) {
  const auto path = Path("resume.h5");
  {
    ActivationWriter writer(path, TestOrigin(kWidth), Layout(), kHooks, StoreType::kFloat32, false);
    WriteTranscript(writer, 0);
  }
  {
    ActivationOrigin other = TestOrigin(kWidth);
    other.config = "{\"layers\":[1]}";
    EXPECT_THROW(ActivationWriter(path, other, Layout(), kHooks, StoreType::kFloat32, true), Error);
  }
  ActivationWriter writer(path, TestOrigin(kWidth), Layout(), kHooks, StoreType::kFloat32, true);
  EXPECT_EQ(writer.done(), std::vector<uint8_t>({1, 0}));
  WriteTranscript(writer, 1);
  writer.Finish();
  std::vector<float> rows(3 * kWidth);
  ActivationReader(path).Read(kHooks[0], 0, 3, rows);
  EXPECT_EQ(rows[0], 10.0f);
  EXPECT_EQ(rows[8], 30.0f);
}

TEST(ActivationsTest, RefusesOtherFiles) {
  const auto path = Path("other.h5");
  EXPECT_THROW(ActivationReader{path}, Error);
  WriteFileAtomically(path, "this is not HDF5");
  EXPECT_THROW(ActivationReader{path}, Error);
}

TEST(ActivationsTest, TruncatedFilesAreErrors) {
  const auto path = Path("whole.h5");
  {
    ActivationWriter writer(path, TestOrigin(kWidth), Layout(), kHooks, StoreType::kFloat32, false);
    WriteTranscript(writer, 0);
    WriteTranscript(writer, 1);
    writer.Finish();
  }
  const std::string bytes = ReadFile(path);
  const auto cut = Path("cut.h5");
  for (size_t size = 0; size + 1 < bytes.size(); size += bytes.size() / 37) {
    WriteFileAtomically(cut, std::string_view(bytes).substr(0, size));
    EXPECT_THROW(ActivationReader{cut}, Error) << size;
  }
}

}  // namespace
}  // namespace extrospect
