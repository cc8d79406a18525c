// Names that come from untrusted files, made fit for messages.
#pragma once

#include <string>
#include <string_view>

namespace extrospect {

// `text` in double quotes: bytes outside printable ASCII as \xNN (a terminal acts on some of them),
// and what is longer than `max_bytes` cut off with "…".
std::string Quote(std::string_view text, size_t max_bytes = 100);

}  // namespace extrospect
