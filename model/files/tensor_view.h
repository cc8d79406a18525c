// Tensors as they lie in a model file: how elements are stored, and a view of one tensor's bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace extrospect {

// Element storage, numbered as in GGUF. Safetensors files use the first three (F32, F16, BF16).
enum class GgmlType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kBF16 = 30,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
};

// Elements come in blocks that share scales; a block of a plain type is one element.
struct GgmlTypeInfo {
  GgmlType type;
  std::string_view name;   // as in the GGUF specification: "Q4_K"
  int64_t block_elements;  // elements in a block; rows hold whole blocks
  int64_t block_bytes;     // bytes of a block
};

// Every type that can be read.
std::span<const GgmlTypeInfo> AllGgmlTypes();
// Null for numbers that no supported type has.
const GgmlTypeInfo* FindGgmlType(uint32_t number);
// Throws Error for a value that is not one of the enumerators.
const GgmlTypeInfo& Info(GgmlType type);

// One tensor of a file. `bytes` belongs to the file object that gave the view and lives as long;
// nothing is promised about its alignment.
struct TensorView {
  std::string name;
  GgmlType type = GgmlType::kF32;
  std::vector<int64_t> shape = {};  // outermost dimension first: a weight matrix is [out, in]
  std::span<const std::byte> bytes = {};

  // Elements, given that the shape has been checked (every file object does).
  int64_t elements() const;
};

// The number of elements of `shape`, or nothing if a size is negative or the product of the sizes
// (zeros counted as one, so that strides fit too) is above 2^63 − 1.
std::optional<int64_t> CountElements(std::span<const int64_t> shape);

// The bytes that `elements` elements take; nothing if they do not fill whole blocks, or too many.
std::optional<uint64_t> CountBytes(GgmlType type, int64_t elements);

// "[49152, 576]", for messages.
std::string ShapeText(std::span<const int64_t> shape);

}  // namespace extrospect
