// Small things done to text.
#pragma once

#include <string>
#include <string_view>

namespace extrospect {

// The texts, with the separator between them.
template <typename Texts>
std::string Join(const Texts& texts, std::string_view separator = ", ") {
  std::string joined;
  bool first = true;
  for (const auto& text : texts) {
    if (!first) joined += separator;
    joined += text;
    first = false;
  }
  return joined;
}

}  // namespace extrospect
