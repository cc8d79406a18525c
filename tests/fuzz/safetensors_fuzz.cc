// Opens any bytes as a safetensors file, and as the index of a sharded model. Nothing but Error may
// come of it.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/files/dequantize.h"
#include "model/files/safetensors.h"

namespace extrospect {
namespace {

void ReadAll(const SafetensorsFile& file) {
  for (const auto& [name, entry] : file.entries()) {
    std::optional<TensorView> tensor;
    try {
      tensor = file.Find(name);
    } catch (const Error&) {
      continue;  // of a type that is not read
    }
    // Not caught: what has been checked once cannot fail here.
    std::vector<float> values(static_cast<size_t>(tensor->elements()));
    Dequantize(tensor->type, tensor->bytes, values);
  }
}

}  // namespace
}  // namespace extrospect

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    extrospect::ParseSafetensorsIndex({reinterpret_cast<const char*>(data), size}, "fuzz.json");
  } catch (const extrospect::Error&) {
  }
  try {
    const extrospect::SafetensorsFile file(std::as_bytes(std::span(data, size)), "fuzz");
    extrospect::ReadAll(file);
  } catch (const extrospect::Error&) {
  }
  return 0;
}
