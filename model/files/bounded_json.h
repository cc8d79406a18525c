// JSON from outside.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace extrospect {

// Parses `text`. Throws Error, naming `where`, if it is not JSON or is nested deeper than any file
// of a model: copying and printing a value takes stack for every level.
nlohmann::json ParseBoundedJson(std::string_view text, const std::string& where);

}  // namespace extrospect
