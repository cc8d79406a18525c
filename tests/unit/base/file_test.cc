#include "base/file.h"

#include <gtest/gtest.h>

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
