// Opens any bytes as a GGUF file and uses all that it offers. Nothing but Error may come of it.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/files/dequantize.h"
#include "model/files/gguf.h"

namespace extrospect {
namespace {

template <typename Action>
void Try(const Action& action) {
  try {
    action();
  } catch (const Error&) {
  }
}

void ReadAll(const GgufFile& file) {
  for (const auto& entry : file.metadata()) {
    const std::string_view key = entry.first;
    Try([&] { file.GetString(key); });
    Try([&] { file.GetUint(key); });
    Try([&] { file.GetInt(key); });
    Try([&] { file.GetFloat(key); });
    Try([&] { file.GetBool(key); });
    Try([&] { file.GetStrings(key); });
    Try([&] { file.GetInts(key); });
    Try([&] { file.GetFloats(key); });
  }
  for (const TensorView& tensor : file.tensors()) {
    // Not caught: what has been checked once cannot fail here.
    std::vector<float> values(static_cast<size_t>(tensor.elements()));
    Dequantize(tensor.type, tensor.bytes, values);
    if (file.FindTensor(tensor.name) != &tensor) __builtin_trap();
  }
}

}  // namespace
}  // namespace extrospect

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const extrospect::GgufFile file(std::as_bytes(std::span(data, size)), "fuzz.gguf");
    extrospect::ReadAll(file);
  } catch (const extrospect::Error&) {
    return -1;  // not worth keeping as a first input
  }
  return 0;
}
