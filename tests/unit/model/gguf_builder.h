// GGUF files made by hand, good or bad, for tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "model/files/gguf.h"

namespace extrospect {

// Appends to `bytes`; nothing is checked, so that wrong files can be made too.
class GgufBuilder {
 public:
  std::string bytes;

  // Starts a file.
  GgufBuilder& Header(uint64_t tensors, uint64_t values, uint32_t version = 3) {
    bytes += "GGUF";
    return Put(version).Put(tensors).Put(values);
  }

  template <typename T>
  GgufBuilder& Put(T value) {
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    bytes.append(raw, sizeof(T));
    return *this;
  }

  GgufBuilder& Put(GgufType type) { return Put(static_cast<uint32_t>(type)); }

  GgufBuilder& Text(std::string_view text) {
    Put(static_cast<uint64_t>(text.size()));
    bytes += text;
    return *this;
  }

  GgufBuilder& Value(std::string_view key, std::string_view text) {
    return Text(key).Put(GgufType::kString).Text(text);
  }

  template <typename T>
  GgufBuilder& Value(std::string_view key, GgufType type, T value) {
    return Text(key).Put(type).Put(value);
  }

  // The head of an array; its elements follow.
  GgufBuilder& Array(std::string_view key, GgufType element_type, uint64_t count) {
    return Text(key).Put(GgufType::kArray).Put(element_type).Put(count);
  }

  // `sizes` innermost first, as files have them.
  GgufBuilder& Tensor(std::string_view name, std::initializer_list<uint64_t> sizes, uint32_t type,
                      uint64_t offset) {
    Text(name).Put(static_cast<uint32_t>(sizes.size()));
    for (const uint64_t size : sizes) Put(size);
    return Put(type).Put(offset);
  }

  // Zeros up to a multiple of `alignment`, then `size` counting bytes of data.
  GgufBuilder& Data(size_t size, size_t alignment = 32) {
    bytes.resize((bytes.size() + alignment - 1) / alignment * alignment, '\0');
    for (size_t i = 0; i < size; ++i) bytes += static_cast<char>(i);
    return *this;
  }

  // Views `bytes`, which must outlive it.
  GgufFile Open() const { return GgufFile(std::as_bytes(std::span(bytes)), "test.gguf"); }
};

}  // namespace extrospect
