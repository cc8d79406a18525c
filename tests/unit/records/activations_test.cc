#include "records/activations.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "records/hdf5.h"
#include "tests/unit/model/error_message.h"
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

void WriteFile(const std::filesystem::path& path, bool finish = true) {
  ActivationWriter writer(path, TestOrigin(kWidth), Layout(), kHooks, StoreType::kFloat32, false);
  WriteTranscript(writer, 0);
  if (!finish) return;
  WriteTranscript(writer, 1);
  writer.Finish();
}

void Resume(const std::filesystem::path& path, const ActivationLayout& layout = Layout()) {
  ActivationWriter(path, TestOrigin(kWidth), layout, kHooks, StoreType::kFloat32, true);
}

// Puts a dataset that claims these sizes, and takes no space, in place of the one at `name`.
void ReplaceByClaim(const std::filesystem::path& path, const std::string& name, hid_t type,
                    const std::vector<hsize_t>& sizes) {
  const hdf5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), "open", name);
  hdf5::Check(H5Ldelete(file, name.c_str(), H5P_DEFAULT), "delete", name);
  const int rank = static_cast<int>(sizes.size());
  const hdf5::Handle space(H5Screate_simple(rank, sizes.data(), nullptr), "make", name);
  const hdf5::Handle create(H5Pcreate(H5P_DATASET_CREATE), "make", name);
  const std::vector<hsize_t> chunk(sizes.size(), 1);
  H5Pset_chunk(create, rank, chunk.data());
  const hdf5::Handle dataset(
      H5Dcreate2(file, name.c_str(), type, space, H5P_DEFAULT, create, H5P_DEFAULT), "make", name);
}

// Puts an attribute of many values in place of the one of that name.
void ReplaceByMany(const std::filesystem::path& path, const std::string& name, hid_t type) {
  const hdf5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), "open", name);
  hdf5::Check(H5Adelete(file, name.c_str()), "delete", name);
  const hsize_t many = 3000;
  const hdf5::Handle space(H5Screate_simple(1, &many, nullptr), "make", name);
  const hdf5::Handle attribute(
      H5Acreate2(file, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), "make", name);
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
  WriteFile(path, false);
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

TEST(ActivationsTest, ResumesOnlyTheSameTranscripts) {
  using Change = std::function<void(ActivationLayout&)>;
  const std::vector<Change> changes = {
      [](ActivationLayout& layout) { layout.transcripts[0].id = "c"; },
      [](ActivationLayout& layout) { layout.transcripts[1].json = "{\"id\":\"b\"}"; },
      [](ActivationLayout& layout) { layout.transcripts[1].n_tokens = 4; },
      [](ActivationLayout& layout) { layout.position[0] = 2; },
      [](ActivationLayout& layout) { layout.first_position = {1, 1, 1}; },
      [](ActivationLayout& layout) { layout.selection = {0, 1, 0}; },
      [](ActivationLayout& layout) { layout.transcripts.pop_back(); }};
  for (const bool finish : {false, true}) {
    const auto path = Path("others.h5");
    WriteFile(path, finish);
    for (const Change& change : changes) {
      ActivationLayout other = Layout();
      change(other);
      EXPECT_THROW(Resume(path, other), Error);
    }
    EXPECT_NO_THROW(Resume(path));
  }
}

TEST(ActivationsTest, DamagedFilesAreNotResumed) {
  const auto path = Path("damaged.h5");
  const auto refuses = [&](const std::string& name, hid_t type, const std::vector<hsize_t>& sizes) {
    WriteFile(path, false);
    ReplaceByClaim(path, name, type, sizes);
    EXPECT_THROW(Resume(path), Error) << name;
  };
  refuses("/transcripts/done", H5T_NATIVE_UINT8, {4'000'000});
  refuses("/rows/token_id", H5T_NATIVE_INT32, {8'000'000'000});
  refuses("/rows/transcript", H5T_NATIVE_UINT32, {8'000'000'000});
  const std::string hook = "/activations/" + kHooks[0];
  refuses(hook, H5T_IEEE_F32LE, {3, 2 * kWidth});
  refuses(hook, H5T_IEEE_F64LE, {3, kWidth});
}

TEST(ActivationsTest, ClaimsBeyondTheFilesSizeAreRefused) {
  const auto path = Path("claims.h5");
  WriteFile(path);
  const hsize_t width = 1 << 24;
  for (const std::string& hook : kHooks) {
    ReplaceByClaim(path, "/activations/" + hook, H5T_IEEE_F32LE, {3, width});
  }
  {
    const hdf5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), "open", "file");
    hdf5::WriteAttribute(file, "d_model", static_cast<int64_t>(width));
  }
  EXPECT_PRED2(Contains, MessageOf([&] { ActivationReader{path}; }), "more rows than");
}

TEST(ActivationsTest, AttributesHaveOneValue) {
  const auto path = Path("attributes.h5");
  const auto message_with = [&](const std::string& name, hid_t type) {
    WriteFile(path);
    ReplaceByMany(path, name, type);
    return MessageOf([&] { ActivationReader{path}; });
  };
  EXPECT_PRED2(Contains, message_with("format_version", H5T_NATIVE_INT64), "one value");
  EXPECT_PRED2(Contains, message_with("format", hdf5::StringType()), "one value");
}

TEST(ActivationsTest, TheSameRunMakesTheSameBytes) {
  const auto first = Path("first.h5"), second = Path("second.h5");
  WriteFile(first);
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // HDF5 counts seconds
  WriteFile(second);
  EXPECT_TRUE(ReadFile(first) == ReadFile(second));
}

// From now on no file of this process grows beyond so many bytes: a full disk, near enough.
void LimitFiles(rlim_t bytes) {
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit = {bytes, bytes};
  ::setrlimit(RLIMIT_FSIZE, &limit);
}

constexpr int kRefused = 7;

int CreateOnAFullDisk(const std::filesystem::path& path) {
  LimitFiles(1000);
  try {
    WriteFile(path);
  } catch (const Error&) {
    return kRefused;
  }
  return 0;
}

int WriteToAFullDisk(const std::filesystem::path& path) {
  ActivationWriter writer(path, TestOrigin(kWidth), Layout(), kHooks, StoreType::kFloat32, false);
  LimitFiles(1000);
  int code = 0;
  std::thread([&] {  // as extraction does
    try {
      WriteTranscript(writer, 0);
    } catch (const Error&) {
      code = kRefused;
    }
  })
      .join();
  return code;
}

// An error and nothing else: no crash at the process's end, no words of HDF5's own.
TEST(ActivationsDeathTest, AFullDiskIsAnError) {
  const auto path = Path("full.h5");
  EXPECT_EXIT(std::exit(CreateOnAFullDisk(path)), testing::ExitedWithCode(kRefused), "^$");
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(std::filesystem::exists(path.string() + ".partial"));
  EXPECT_EXIT(std::exit(WriteToAFullDisk(path)), testing::ExitedWithCode(kRefused), "^$");
}

TEST(ActivationsTest, RefusesOtherFiles) {
  const auto path = Path("other.h5");
  EXPECT_THROW(ActivationReader{path}, Error);
  WriteFileAtomically(path, "this is not HDF5");
  EXPECT_THROW(ActivationReader{path}, Error);
}

TEST(ActivationsTest, TruncatedFilesAreErrors) {
  const auto path = Path("whole.h5");
  WriteFile(path);
  const std::string bytes = ReadFile(path);
  const auto cut = Path("cut.h5");
  for (size_t size = 0; size + 1 < bytes.size(); size += bytes.size() / 37) {
    WriteFileAtomically(cut, std::string_view(bytes).substr(0, size));
    EXPECT_THROW(ActivationReader{cut}, Error) << size;
  }
}

}  // namespace
}  // namespace extrospect
