// Text from outside, made safe for HTML.
#pragma once

#include <string>
#include <string_view>

namespace extrospect {

// `text` for HTML and SVG, in content and in quoted attributes. Control characters other than tab
// and newline, and bytes that are not UTF-8, become U+FFFD.
std::string EscapeHtml(std::string_view text);

}  // namespace extrospect
