#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace extrospect {
namespace {

constexpr size_t kBufferBytes = 1 << 20;

Error SystemError(std::string what, const std::filesystem::path& path) {
  const int code = errno;
  Error error(std::move(what));
  error.At(path.string()).Found(std::strerror(code));
  if (code == ENOSPC) error.Hint("free some disk space and run the command again");
  if (code == ENOENT) error.Hint("check the path; relative paths start at the current directory");
  return error;
}

// Whether there is something to write to that is neither file nor folder.
bool IsStream(const std::filesystem::path& path) {
  using std::filesystem::file_type;
  std::error_code error;
  const file_type type = std::filesystem::status(path, error).type();
  return type == file_type::character || type == file_type::fifo || type == file_type::socket ||
         type == file_type::block;
}

class FileDescriptor {
 public:
  explicit FileDescriptor(const std::filesystem::path& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ < 0) throw SystemError("cannot open file", path);
  }
  ~FileDescriptor() { ::close(fd_); }
  int get() const { return fd_; }

 private:
  int fd_;
};

size_t RegularFileSize(int fd, const std::filesystem::path& path) {
  struct stat status;
  if (::fstat(fd, &status) != 0) throw SystemError("cannot read file", path);
  if (!S_ISREG(status.st_mode)) {
    throw Error("cannot read file").At(path.string()).Expected("a regular file");
  }
  return static_cast<size_t>(status.st_size);
}

// Renames survive a crash only once the directory that holds them is on disk.
void SyncDirectory(const std::filesystem::path& directory) {
  const int fd = ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

}  // namespace

std::string ReadFile(const std::filesystem::path& path, size_t max_bytes) {
  const FileDescriptor file(path);
  const size_t size = RegularFileSize(file.get(), path);
  if (size > max_bytes) {
    throw Error("file is too large")
        .At(path.string())
        .Expected("at most " + std::to_string(max_bytes) + " bytes")
        .Found(std::to_string(size) + " bytes");
  }
  std::string bytes(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t n = ::read(file.get(), bytes.data() + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw SystemError("cannot read file", path);
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

std::filesystem::path PlaceOfNewFile(const std::filesystem::path& path) {
  std::error_code missing;
  if (std::filesystem::is_directory(path, missing)) {
    throw Error("cannot create file").At(path.string()).Found("a folder of that name");
  }
  if (IsStream(path)) {
    throw Error("cannot create file")
        .At(path.string())
        .Expected("a new name, or a regular file to replace")
        .Found("a device or pipe");
  }
  // Link by link: what the last one names need not be there yet.
  std::filesystem::path place = path;
  for (int links = 0; std::filesystem::is_symlink(place, missing); ++links) {
    constexpr int kMaxLinks = 40;  // as in the kernel
    if (links == kMaxLinks) {
      throw Error("cannot create file").At(path.string()).Found("links that lead to each other");
    }
    place = place.parent_path() / std::filesystem::read_symlink(place);
  }
  std::filesystem::path real = std::filesystem::canonical(place, missing);
  return missing ? place : real;
}

void CheckOutput(const std::filesystem::path& output,
                 const std::vector<std::filesystem::path>& others) {
  if (output.empty()) throw UsageError("an output file has no name");
  if (IsStream(output)) return;
  const std::filesystem::path place = PlaceOfNewFile(output);
  for (const std::filesystem::path& other : others) {
    std::error_code error;
    if (other.empty() || std::filesystem::weakly_canonical(place, error) !=
                             std::filesystem::weakly_canonical(other, error)) {
      continue;
    }
    throw UsageError("an output file is also an input, or two outputs are one")
        .At(output.string())
        .Hint("give it a name of its own");
  }
  const std::filesystem::path folder =
      place.has_parent_path() ? place.parent_path() : std::filesystem::path(".");
  if (::access(folder.c_str(), W_OK | X_OK) != 0) {
    throw SystemError("cannot write to folder", folder);
  }
}

void MakeFolder(const std::filesystem::path& folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (!failed) return;
  throw Error("cannot make the folder")
      .At(folder.string())
      .Expected("a new name, or a folder that can be written to")
      .Found(failed.message());
}

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(std::move(path)), renames_(!IsStream(path_)) {
  if (renames_) path_ = PlaceOfNewFile(path_);
  partial_ = renames_ ? path_.string() + ".partial" : path_.string();
  fd_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) throw SystemError("cannot create file", partial_);
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  if (renames_) ::unlink(partial_.c_str());
}

void AtomicFile::Write(std::string_view bytes) {
  buffer_.append(bytes);
  if (buffer_.size() >= kBufferBytes) Flush();
}

void AtomicFile::Flush() {
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t n = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw SystemError("cannot write file", partial_);
    done += static_cast<size_t>(n);
  }
  buffer_.clear();
}

void AtomicFile::Commit() {
  Flush();
  if (!renames_) {
    ::close(std::exchange(fd_, -1));
    return;
  }
  if (::fsync(fd_) != 0) throw SystemError("cannot write file", partial_);
  ::close(std::exchange(fd_, -1));
  if (::rename(partial_.c_str(), path_.c_str()) != 0) {
    const int code = errno;
    ::unlink(partial_.c_str());
    errno = code;
    throw SystemError("cannot rename finished file", path_);
  }
  SyncDirectory(path_.parent_path());
}

void WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.Write(bytes);
  file.Commit();
}

MappedFile::MappedFile(const std::filesystem::path& path) {
  const FileDescriptor file(path);
  size_ = RegularFileSize(file.get(), path);
  if (size_ == 0) return;
  void* const data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) throw SystemError("cannot map file", path);
  data_ = static_cast<const std::byte*>(data);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::Release(std::span<const std::byte> part) const {
  // Whole pages alone can be given back; those at the ends may hold other parts too.
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = static_cast<size_t>(part.data() - data_);
  const size_t first = (begin + page - 1) / page * page;
  const size_t end = begin + part.size();
  const size_t last = end == size_ ? end : end / page * page;
  if (first < last) {
    ::madvise(const_cast<std::byte*>(data_) + first, last - first, MADV_DONTNEED);
  }
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace extrospect
