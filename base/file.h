// Files that are never seen half-written, and files mapped into memory.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace extrospect {

// Reads a whole file. Throws Error if it cannot be read or is larger than `max_bytes`.
std::string ReadFile(const std::filesystem::path& path, size_t max_bytes = size_t{1} << 32);

// Where a new file of this name goes: what a symbolic link points to. Throws Error if something is
// there that is not a regular file.
std::filesystem::path PlaceOfNewFile(const std::filesystem::path& path);

// For the start of a command, so that hours of work do not end in a file that cannot be made:
// throws UsageError if the output has no name or is one of the inputs (or of the other outputs),
// Error if its folder is not there or not to be written to.
void CheckOutput(const std::filesystem::path& output,
                 const std::vector<std::filesystem::path>& others);

// Makes a folder and those above it. Throws Error.
void MakeFolder(const std::filesystem::path& folder);

// A file that appears under its name only when it is whole: bytes go to `path` + ".partial", and
// Commit() flushes, fsyncs and renames. Without Commit() the partial file is removed. Throws Error
// on every failed write (a full disk names itself). Behind a symbolic link, the file that it points
// to is replaced; what is neither file nor folder (a pipe, a terminal) is written to as it is. Not
// thread-safe.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void Write(std::string_view bytes);
  void Commit();

 private:
  void Flush();

  std::filesystem::path path_, partial_;
  bool renames_ = true;
  int fd_ = -1;
  std::string buffer_;
};

// AtomicFile in one call.
void WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes);

// A read-only mapping of a whole file. Movable; the bytes stay valid until destruction.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Tells the system that `part` of the bytes has been read and need not stay in memory. It can
  // still be read again, from the file.
  void Release(std::span<const std::byte> part) const;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace extrospect
