// A cursor over the bytes of a little-endian binary file that never reads past their end.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "model/files/quote.h"

namespace extrospect {

static_assert(std::endian::native == std::endian::little,
              "files are read in the host's byte order");

// A little-endian T at any address.
template <typename T>
T LoadUnaligned(const void* address) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, address, sizeof(T));
  return value;
}

// Every read names what it reads, so that an Error can say what was cut off, and where.
class ByteReader {
 public:
  // `file` is how messages call the file; both arguments must outlive the reader.
  ByteReader(std::span<const std::byte> bytes, std::string_view file)
      : bytes_(bytes), file_(file) {}

  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }

  // What the bytes ahead belong to, e.g. ("tensor", "output.weight"); `name` is not copied.
  void SetSubject(const char* kind, std::string_view name) {
    subject_kind_ = kind;
    subject_ = name;
  }

  template <typename T>
  T Read(const char* what) {
    return LoadUnaligned<T>(Take(sizeof(T), what).data());
  }

  std::span<const std::byte> Take(uint64_t size, const char* what) {
    if (size > remaining()) {
      throw ErrorHere("file ends too early")
          .Expected(std::to_string(size) + " bytes for " + what)
          .Found(std::to_string(remaining()) + " bytes to the end of the file")
          .Hint("the file is cut short or damaged; download or copy it again");
    }
    const auto taken = bytes_.subspan(position_, size);
    position_ += size;
    return taken;
  }

  // Throws unless `count` things of at least `min_size` bytes can still follow.
  void CheckCount(uint64_t count, uint64_t min_size, const char* what) const {
    if (count > remaining() / min_size) {
      throw ErrorHere(std::string("impossible number of ") + what)
          .Expected("at most " + std::to_string(remaining() / min_size) + ", all that can fit in " +
                    std::to_string(remaining()) + " bytes to the end of the file")
          .Found(std::to_string(count))
          .Hint("the file is cut short or damaged; download or copy it again");
    }
  }

  // Errors that say where: the file, the subject and the byte.
  Error ErrorHere(std::string what) const { return ErrorAt(position_, std::move(what)); }
  Error ErrorAt(size_t position, std::string what) const {
    std::string where(file_);
    if (*subject_kind_ != '\0') where += std::string(", ") + subject_kind_ + " " + Quote(subject_);
    Error error(std::move(what));
    error.At(where + ", byte " + std::to_string(position));
    return error;
  }

 private:
  std::span<const std::byte> bytes_;
  std::string_view file_;
  size_t position_ = 0;
  const char* subject_kind_ = "";
  std::string_view subject_;
};

}  // namespace extrospect
