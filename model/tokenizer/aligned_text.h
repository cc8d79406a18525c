// Text on its way from the input to the vocabulary, each byte of which knows where it came from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace extrospect {

// A view; what it points to must outlive it. Text that no step has rewritten needs no table: its
// byte i came from byte `base + i` of the input.
struct AlignedText {
  std::string_view text;
  const uint32_t* origins = nullptr;  // one for each byte of `text`, or null
  uint32_t base = 0;

  uint32_t Origin(size_t i) const {
    return origins != nullptr ? origins[i] : base + static_cast<uint32_t>(i);
  }
  AlignedText Sub(size_t begin, size_t end) const {
    return {text.substr(begin, end - begin), origins != nullptr ? origins + begin : nullptr,
            base + static_cast<uint32_t>(begin)};
  }
};

// Owns what a rewriting step produced. Invariant: one origin for each byte. Appending throws Error
// beyond `limit` bytes: the rules of a file can make as much of a text as they like.
struct AlignedBuffer {
  std::string text;
  std::vector<uint32_t> origins;
  size_t limit = size_t{1} << 30;

  void Clear() {
    text.clear();
    origins.clear();
  }
  // Appends text[begin, end) of `source` unchanged.
  void Copy(const AlignedText& source, size_t begin, size_t end) {
    CheckRoom(end - begin);
    text += source.text.substr(begin, end - begin);
    for (size_t i = begin; i < end; ++i) origins.push_back(source.Origin(i));
  }
  // Appends text that stands for what came from byte `origin` of the input.
  void Insert(std::string_view inserted, uint32_t origin) {
    CheckRoom(inserted.size());
    text += inserted;
    origins.insert(origins.end(), inserted.size(), origin);
  }
  AlignedText View() const { return {text, origins.data(), 0}; }

  void CheckRoom(size_t bytes) const {
    if (text.size() + bytes <= limit) return;
    throw Error("text becomes too long for the tokenizer")
        .Expected("at most " + std::to_string(limit) + " bytes after normalization")
        .Found("more");
  }
};

}  // namespace extrospect
