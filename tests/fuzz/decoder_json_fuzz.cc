// decoder.json from outside.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "decode/load.h"
#include "decode/oracle/oracle_folder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const extrospect::DecoderFile file =
        extrospect::ParseDecoderJson({reinterpret_cast<const char*>(data), size}, "fuzz");
    if (extrospect::IsOracleKind(file.info.kind)) extrospect::ParseOracleSpec(file, "fuzz");
  } catch (const extrospect::Error&) {
  }
  return 0;
}
