#include "base/bounded_json.h"

#include "base/error.h"

namespace extrospect {

template <typename Json>
Json ParseBoundedJson(std::string_view text, const std::string& where, bool ignore_comments) {
  constexpr int kMaxDepth = 64;
  const auto check_depth = [&](int depth, typename Json::parse_event_t, Json&) {
    if (depth <= kMaxDepth) return true;
    throw Error("cannot read JSON")
        .At(where)
        .Expected("at most " + std::to_string(kMaxDepth) + " levels")
        .Found("more");
  };
  // nlohmann's parser would take it for the end.
  if (text.find('\0') != text.npos) throw Error("cannot read JSON").At(where).Found("a NUL byte");
  try {
    return Json::parse(text, check_depth, /*allow_exceptions=*/true, ignore_comments);
  } catch (const nlohmann::json::exception& error) {
    throw Error("cannot read JSON").At(where).Found(error.what());
  }
}

template nlohmann::json ParseBoundedJson(std::string_view, const std::string&, bool);
template nlohmann::ordered_json ParseBoundedJson(std::string_view, const std::string&, bool);

}  // namespace extrospect
