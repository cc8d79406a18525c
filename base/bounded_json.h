// JSON from outside.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace extrospect {

// Parses `text`, as nlohmann::json or ordered_json. Throws Error, naming `where`, if it is not
// JSON, holds a NUL byte, or is nested deeper than 64 levels, which no file of ours or of a model
// is: copying and printing a value takes stack for every level.
template <typename Json = nlohmann::json>
Json ParseBoundedJson(std::string_view text, const std::string& where,
                      bool ignore_comments = false);

}  // namespace extrospect
