// decoder.json from outside.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "decode/load.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    extrospect::ParseDecoderJson({reinterpret_cast<const char*>(data), size}, "fuzz");
  } catch (const extrospect::Error&) {
  }
  return 0;
}
