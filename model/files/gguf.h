// GGUF model files (versions 2 and 3, little-endian): typed metadata and tensors, read in place.
//
// The layout, all integers little-endian:
//
//   "GGUF"  u32 version  u64 tensor count  u64 metadata count
//   metadata:  string key, u32 value type, value;   a string is u64 length and its bytes,
//              an array is u32 element type, u64 count and the elements
//   tensors:   string name, u32 dimensions, u64 sizes[] (innermost first), u32 element type,
//              u64 offset into the data section
//   padding to `general.alignment` (32 unless given), then the data section
//
// Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "model/files/tensor_view.h"

namespace extrospect {

enum class GgufType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// "uint32", "string", "array", …
std::string_view GgufTypeName(GgufType type);

// One metadata value, still encoded: a vocabulary takes no memory until it is asked for.
struct GgufValue {
  GgufType type;
  GgufType element_type;             // of an array; otherwise the same as `type`
  uint64_t count;                    // elements of an array; otherwise 1
  std::span<const std::byte> bytes;  // a string's characters, an array's elements, or the number
};

// What a file holds. Everything points into the file's bytes.
struct GgufContents {
  uint32_t version = 0;
  std::map<std::string_view, GgufValue> metadata;
  std::vector<TensorView> tensors;                  // in the order of the file
  std::map<std::string_view, size_t> tensor_index;  // name -> place in `tensors`
};

// An open file, checked whole when it is opened: every count, length, offset, alignment and extent
// lies within the file, keys and tensor names are unique, tensors do not overlap, and memory use is
// a small multiple of what the file itself holds. Immutable and safe to share between threads;
// what it hands out (views of strings, tensor bytes) lives as long as the object or one that it was
// moved into.
//
// Everything throws Error naming the file, the key or tensor and, where there is one, the byte.
class GgufFile {
 public:
  // Maps the file into memory.
  explicit GgufFile(const std::filesystem::path& path);
  // Reads from memory, which must outlive the object; messages call it `name`.
  GgufFile(std::span<const std::byte> bytes, std::string name);

  const std::string& name() const { return name_; }
  uint32_t version() const { return contents_.version; }

  // Every key with its encoded value, in the order of the keys.
  const std::map<std::string_view, GgufValue>& metadata() const { return contents_.metadata; }
  bool Has(std::string_view key) const { return contents_.metadata.contains(key); }

  // Single values. Get… throws if the key is missing, Find… returns nothing; both throw if the
  // value is of another kind or does not fit. Integers of every width serve as Int and (unless
  // negative) Uint, both float widths as Float.
  std::string GetString(std::string_view key) const;
  uint64_t GetUint(std::string_view key) const;
  int64_t GetInt(std::string_view key) const;
  double GetFloat(std::string_view key) const;
  bool GetBool(std::string_view key) const;
  std::optional<std::string> FindString(std::string_view key) const;
  std::optional<uint64_t> FindUint(std::string_view key) const;
  std::optional<int64_t> FindInt(std::string_view key) const;
  std::optional<double> FindFloat(std::string_view key) const;
  std::optional<bool> FindBool(std::string_view key) const;

  // Arrays, with the same rules. Ints takes arrays of booleans too; 64-bit floats are rounded.
  std::vector<std::string_view> GetStrings(std::string_view key) const;
  std::vector<int64_t> GetInts(std::string_view key) const;
  std::vector<float> GetFloats(std::string_view key) const;
  std::optional<std::vector<std::string_view>> FindStrings(std::string_view key) const;
  std::optional<std::vector<int64_t>> FindInts(std::string_view key) const;
  std::optional<std::vector<float>> FindFloats(std::string_view key) const;

  // Tensors, in the order of the file.
  const std::vector<TensorView>& tensors() const { return contents_.tensors; }
  // Null if there is no such tensor.
  const TensorView* FindTensor(std::string_view name) const;
  const TensorView& GetTensor(std::string_view name) const;
  // See MappedFile::Release; for the bytes of a tensor or of a part of one.
  void Release(const TensorView& tensor) const;

 private:
  const GgufValue* Find(std::string_view key) const;
  template <typename T>
  std::optional<T> FindNumber(std::string_view key, bool (*accepts)(GgufType),
                              const char* expected) const;
  template <typename T>
  std::optional<std::vector<T>> FindNumbers(std::string_view key, bool (*accepts)(GgufType),
                                            const char* expected) const;
  Error MissingKey(std::string_view key) const;
  Error WrongValue(std::string_view key, std::string expected, const GgufValue& value) const;

  std::string name_;
  std::optional<MappedFile> mapping_;
  GgufContents contents_;
};

}  // namespace extrospect
