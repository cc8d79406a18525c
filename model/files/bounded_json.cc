#include "model/files/bounded_json.h"

#include "base/error.h"

namespace extrospect {

using nlohmann::json;

json ParseBoundedJson(std::string_view text, const std::string& where) {
  constexpr int kMaxDepth = 64;
  const auto check_depth = [&](int depth, json::parse_event_t, json&) {
    if (depth <= kMaxDepth) return true;
    throw Error("cannot read JSON")
        .At(where)
        .Expected("at most " + std::to_string(kMaxDepth) + " levels")
        .Found("more");
  };
  try {
    return json::parse(text, check_depth);
  } catch (const json::exception& error) {
    throw Error("cannot read JSON").At(where).Found(error.what());
  }
}

}  // namespace extrospect
