#include "records/activation_shards.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "base/error.h"
#include "tests/unit/records/origin.h"

namespace extrospect {
namespace {

constexpr int64_t kWidth = 3;
const std::vector<std::string> kHooks = {"blocks.0.hook_resid_post", "blocks.1.hook_resid_post"};

// Three transcripts of 2, 1 and 2 rows; row r of hook h holds 100 h + r.
ActivationLayout Layout() {
  ActivationLayout layout;
  layout.transcripts = {{"a", "{}", 0, 2, 5}, {"b", "{}", 2, 1, 3}, {"c", "{}", 3, 2, 2}};
  layout.transcript = {0, 0, 1, 2, 2};
  layout.position = {3, 4, 2, 0, 1};
  layout.token_id = {7, 8, 9, 10, 11};
  return layout;
}

void WriteShard(const std::filesystem::path& path, uint32_t begin, uint32_t end, bool finish,
                const std::string& config = "{}", const ActivationLayout& whole = Layout()) {
  const ActivationLayout part = PartOfLayout(whole, begin, end);
  ActivationOrigin origin = TestOrigin(kWidth);
  origin.config = config;
  std::filesystem::create_directories(path.parent_path());
  ActivationWriter writer(path, origin, part, kHooks, StoreType::kFloat32, false);
  for (size_t hook = 0; hook < kHooks.size(); ++hook) {
    std::vector<float> rows;
    for (uint64_t r = 0; r < part.n_rows(); ++r) {
      const uint64_t row = whole.transcripts[begin].first_row + r;
      rows.insert(rows.end(), kWidth, static_cast<float>(100 * hook + row));
    }
    writer.Write(hook, 0, std::as_bytes(std::span(rows)));
  }
  std::vector<uint32_t> all(end - begin);
  for (uint32_t i = 0; i < all.size(); ++i) all[i] = i;
  if (!finish) return;
  writer.MarkDone(all);
  writer.Finish();
}

class ShardsTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) / "shards_test";
    std::filesystem::remove_all(folder_);
    path_ = folder_ / "a 100%b.h5";  // HDF5 has patterns with %b
    for (int i = 0; i < 2; ++i) files_.push_back(ShardFile(path_, i));
    WriteShard(folder_ / files_[0], 0, 2, true);
    WriteShard(folder_ / files_[1], 2, 3, true);
  }
  void WriteWhole() {
    WriteActivationsOverShards(path_, TestOrigin(kWidth), Layout(), kHooks, StoreType::kFloat32,
                               {{files_[0], 0, 3}, {files_[1], 3, 2}});
  }
  static std::string Complaint(const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing was thrown";
  }

  std::filesystem::path folder_, path_;
  std::vector<std::string> files_;
};

TEST_F(ShardsTest, ReadAsOneFileWhereverTheyAre) {
  WriteWhole();
  const std::filesystem::path moved = folder_.string() + "_moved";
  std::filesystem::remove_all(moved);
  std::filesystem::rename(folder_, moved);
  // Renamed as well: the folder of the shards keeps its name.
  std::filesystem::rename(moved / path_.filename(), moved / "b.h5");
  const ActivationReader reader(moved / "b.h5");
  EXPECT_EQ(reader.hooks(), kHooks);
  EXPECT_EQ(reader.layout().transcripts[2].first_row, 3u);
  EXPECT_EQ(reader.layout().token_id, Layout().token_id);
  std::vector<float> rows(4 * kWidth);
  reader.Read(kHooks[1], 1, 4, rows);
  for (int i = 0; i < 4 * kWidth; ++i) EXPECT_EQ(rows[i], 101 + i / kWidth) << i;
}

TEST_F(ShardsTest, PartsAreActivationFilesThemselves) {
  const ActivationReader reader(folder_ / files_[1]);
  EXPECT_EQ(reader.layout().transcripts.size(), 1u);
  EXPECT_EQ(reader.layout().transcripts[0].id, "c");
  EXPECT_EQ(reader.layout().transcripts[0].first_row, 0u);
  EXPECT_EQ(reader.layout().transcript, std::vector<uint32_t>({0, 0}));
  EXPECT_EQ(reader.layout().token_id, std::vector<int32_t>({10, 11}));
}

TEST_F(ShardsTest, AMissingShardIsNamed) {
  WriteWhole();
  std::filesystem::remove(folder_ / files_[1]);
  const std::string complaint = Complaint([&] { ActivationReader{path_}; });
  EXPECT_NE(complaint.find("missing"), std::string::npos) << complaint;
  EXPECT_NE(complaint.find(files_[1]), std::string::npos) << complaint;
}

TEST_F(ShardsTest, OtherShardsAreRefused) {
  WriteWhole();
  const auto refuses = [&](const std::string& word) {
    const std::string complaint = Complaint([&] { ActivationReader{path_}; });
    EXPECT_NE(complaint.find(word), std::string::npos) << complaint;
    EXPECT_NE(complaint.find(files_[1]), std::string::npos) << complaint;
  };
  WriteShard(folder_ / files_[1], 1, 2, true);
  refuses("other rows");
  WriteShard(folder_ / files_[1], 2, 3, true, "{\"layers\":[3]}");
  refuses("another configuration");
  WriteShard(folder_ / files_[1], 2, 3, false);
  refuses("incomplete");
}

TEST_F(ShardsTest, ShardsOfOtherTranscriptsAreRefused) {
  WriteWhole();
  for (const bool id : {true, false}) {
    ActivationLayout other = Layout();
    (id ? other.transcripts[2].id : other.transcripts[2].json) += "x";
    WriteShard(folder_ / files_[1], 2, 3, true, "{}", other);
    const std::string complaint = Complaint([&] { ActivationReader{path_}; });
    EXPECT_NE(complaint.find("other rows"), std::string::npos) << complaint;
  }
}

TEST_F(ShardsTest, NothingIsWrittenOverShardsThatAreNotWhole) {
  WriteShard(folder_ / files_[1], 2, 3, false);
  EXPECT_NE(Complaint([&] { WriteWhole(); }).find(files_[1]), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(path_));
  WriteShard(folder_ / files_[1], 2, 3, true);
  EXPECT_THROW(WriteActivationsOverShards(path_, TestOrigin(kWidth), Layout(), kHooks,
                                          StoreType::kFloat32, {{files_[0], 0, 3}}),
               Error);
}

TEST_F(ShardsTest, AreRemovedTogether) {
  std::filesystem::rename(folder_ / files_[1], folder_ / files_[0]);
  RemoveShards(path_);
  EXPECT_FALSE(std::filesystem::exists((folder_ / files_[0]).parent_path()));
  RemoveShards(path_);
}

}  // namespace
}  // namespace extrospect
