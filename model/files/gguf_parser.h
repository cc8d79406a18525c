// The structure of a GGUF file; gguf.h gives meaning to what this finds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "model/files/gguf.h"

namespace extrospect {

// Checks all of `bytes` and points into it. `file` is what messages call it. Throws Error.
GgufContents ParseGguf(std::span<const std::byte> bytes, const std::string& file);

// Bytes of a number or boolean; 0 for strings and arrays.
size_t GgufScalarBytes(GgufType type);

}  // namespace extrospect
