// Lines of transcripts.jsonl from outside.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "records/transcripts.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace extrospect;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    try {
      const Transcript transcript = ParseTranscript(line, "fuzz", "fallback");
      if (transcript.id.empty() || transcript.json != line) __builtin_trap();
      if (transcript.is_raw() && PlainText(transcript) != transcript.text) __builtin_trap();
    } catch (const Error&) {
    }
  }
  return 0;
}
