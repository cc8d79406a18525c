// Reads any bytes as a model's configuration: as GGUF metadata if they begin so, else as a
// config.json. Nothing but Error may come of it, and what passes has sizes that can be counted.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/error.h"
#include "model/config/architecture.h"
#include "model/files/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace extrospect;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const Architecture architecture =
        text.starts_with("GGUF")
            ? ArchitectureFromGguf(GgufFile(std::as_bytes(std::span(data, size)), "input"))
            : ArchitectureFromConfigText(text, "input");
    if (CountParameters(architecture) <= 0) __builtin_trap();
  } catch (const Error&) {
  }
  return 0;
}
