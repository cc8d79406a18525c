// Safetensors files: read in place, single or sharded, and written.
//
// The layout: u64 little-endian length of the header; the header, a JSON object
//
//   {"__metadata__": {"key": "value", …},
//    "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, …}
//
// padded with spaces; the data section, in which the tensors lie at their offsets, without gaps or
// overlaps. Specification: https://github.com/huggingface/safetensors#format
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "model/files/tensor_view.h"

namespace extrospect {

// The reference implementation's limit, and the key that is not a tensor.
inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;
inline constexpr char kSafetensorsMetadataKey[] = "__metadata__";

// A tensor as the header describes it.
struct SafetensorsEntry {
  std::string dtype;  // "F32", "BF16", "I64", …
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

// One open file, checked whole when it is opened: the header's length and JSON, no name twice, at
// most 8 dimensions, every tensor's bytes within the file and as many as its shape takes, the data
// section covered exactly once. Immutable and safe to share between threads; tensor bytes live as
// long as the object or one that it was moved into.
//
// Everything throws Error naming the file and the tensor.
class SafetensorsFile {
 public:
  // Maps the file into memory.
  explicit SafetensorsFile(const std::filesystem::path& path);
  // Reads from memory, which must outlive the object; messages call it `name`.
  SafetensorsFile(std::span<const std::byte> bytes, std::string name);

  const std::string& name() const { return name_; }
  // The tensors of every type, readable or not, in the order of their names.
  const std::map<std::string, SafetensorsEntry, std::less<>>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  // A tensor of type F32, F16 or BF16; any other type is an error. Get throws if there is no such
  // tensor, Find returns nothing.
  TensorView Get(std::string_view tensor) const;
  std::optional<TensorView> Find(std::string_view tensor) const;
  // See MappedFile::Release; for the bytes of a tensor.
  void Release(std::string_view tensor) const;

 private:
  void Read(std::span<const std::byte> bytes);

  std::string name_;
  std::optional<MappedFile> mapping_;
  std::map<std::string, SafetensorsEntry, std::less<>> entries_;
  std::map<std::string, std::string> metadata_;
};

// The tensors of a Hugging Face directory: of model.safetensors, or else of all the files that
// model.safetensors.index.json lists. The rules of SafetensorsFile hold; a listed file or tensor
// that is missing is an error when the object is made.
class SafetensorsModel {
 public:
  explicit SafetensorsModel(const std::filesystem::path& directory);

  // Sorted.
  std::vector<std::string> names() const;
  // The files that hold the tensors, opened once each.
  const std::vector<SafetensorsFile>& files() const { return files_; }
  const std::filesystem::path& directory() const { return directory_; }
  bool Contains(std::string_view tensor) const { return file_of_.contains(tensor); }

  TensorView Get(std::string_view tensor) const;
  std::optional<TensorView> Find(std::string_view tensor) const;
  // See MappedFile::Release; for the bytes of a tensor.
  void Release(std::string_view tensor) const;

 private:
  std::filesystem::path directory_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, size_t, std::less<>> file_of_;  // tensor -> place in `files_`
};

// The file of each tensor, from the text of a model.safetensors.index.json; `name` is what messages
// call it. File names are plain names, without a path. Throws Error.
std::map<std::string, std::string, std::less<>> ParseSafetensorsIndex(std::string_view text,
                                                                      const std::string& name);

// Writes a file that appears only when it is whole. Tensors may come in any order; what is written
// depends on nothing but the arguments' contents: wider types first (so that data is aligned), then
// by name, byte for byte as the reference implementation does. Throws Error for a type other than
// F32, F16 and BF16, a size that does not fit the shape, a name that comes twice or is
// "__metadata__", names that are not UTF-8, and failed writes.
void WriteSafetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace extrospect
