#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"

namespace extrospect {
namespace {

std::filesystem::path TemporaryPath(const std::string& name) {
  return std::filesystem::path(testing::TempDir()) / name;
}

TEST(AtomicFileTest, AppearsOnlyWhenCommitted) {
  const auto path = TemporaryPath("atomic.txt");
  std::filesystem::remove(path);
  {
    AtomicFile file(path);
    file.Write("lost");
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(std::filesystem::exists(path.string() + ".partial"));
  WriteFileAtomically(path, "kept");
  EXPECT_EQ(ReadFile(path), "kept");
}

TEST(AtomicFileTest, ReplacesWhatALinkPointsTo) {
  const auto real = TemporaryPath("atomic_real.txt"), link = TemporaryPath("atomic_link.txt");
  std::filesystem::remove(link);
  WriteFileAtomically(real, "old");
  std::filesystem::create_symlink(real.filename(), link);
  WriteFileAtomically(link, "new");
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(ReadFile(real), "new");
}

TEST(AtomicFileTest, FollowsLinksToWhatIsNotThereYet) {
  const auto folder = TemporaryPath("atomic_links");
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder / "real");
  std::filesystem::create_symlink("real/second", folder / "first");
  std::filesystem::create_symlink("new.txt", folder / "real/second");
  WriteFileAtomically(folder / "first", "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "first"));
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "real/second"));
  EXPECT_EQ(ReadFile(folder / "real/new.txt"), "new");
  std::filesystem::create_symlink("there", folder / "back");
  std::filesystem::create_symlink("back", folder / "there");
  EXPECT_THROW(PlaceOfNewFile(folder / "back"), Error);
}

TEST(AtomicFileTest, WritesToPipesAsTheyAre) {
  const auto pipe = TemporaryPath("atomic_pipe");
  std::filesystem::remove(pipe);
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  WriteFileAtomically(pipe, "through");
  char bytes[16];
  EXPECT_EQ(::read(reader, bytes, sizeof bytes), 7);
  ::close(reader);
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  EXPECT_THROW(PlaceOfNewFile(pipe), Error);
  EXPECT_THROW(PlaceOfNewFile(testing::TempDir()), Error);
}

TEST(CheckOutputTest, RefusesWhatCannotBeMadeBeforeTheWork) {
  const auto input = TemporaryPath("check_input.txt"), link = TemporaryPath("check_link.txt");
  WriteFileAtomically(input, "precious");
  std::filesystem::remove(link);
  std::filesystem::create_symlink(input, link);
  const auto code = [](const std::filesystem::path& output,
                       const std::vector<std::filesystem::path>& others) {
    try {
      CheckOutput(output, others);
    } catch (const Error& error) {
      return error.code();
    }
    return ExitCode::kDone;
  };
  EXPECT_EQ(code(TemporaryPath("check_new.txt"), {input, ""}), ExitCode::kDone);
  EXPECT_EQ(code(input, {}), ExitCode::kDone);
  EXPECT_EQ(code("/dev/stdout", {input}), ExitCode::kDone);
  EXPECT_EQ(code(input, {input}), ExitCode::kUsage);
  EXPECT_EQ(code(link, {input}), ExitCode::kUsage);
  EXPECT_EQ(code("", {}), ExitCode::kUsage);
  EXPECT_EQ(code("/no/such/folder/out", {}), ExitCode::kFailed);
  EXPECT_EQ(code(testing::TempDir(), {}), ExitCode::kFailed);
  EXPECT_THROW(MakeFolder(input), Error);
}

TEST(AtomicFileTest, NamesTheFileThatCannotBeWritten) {
  try {
    WriteFileAtomically("/dev/full/x", "text");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("/dev/full/x"), std::string::npos);
    EXPECT_EQ(error.code(), ExitCode::kFailed);
  }
}

TEST(MappedFileTest, MapsEmptyAndFullFiles) {
  const auto path = TemporaryPath("mapped.bin");
  WriteFileAtomically(path, "");
  EXPECT_EQ(MappedFile(path).bytes().size(), 0u);
  WriteFileAtomically(path, "abc");
  EXPECT_EQ(MappedFile(path).bytes().size(), 3u);
  EXPECT_THROW(MappedFile("/no/such/file"), Error);
}

TEST(Sha256Test, MatchesPublishedVectors) {
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const auto path = TemporaryPath("hashed.bin");
  WriteFileAtomically(path, "abc");
  EXPECT_EQ(Sha256HexOfFile(path), Sha256Hex("abc"));
}

}  // namespace
}  // namespace extrospect
