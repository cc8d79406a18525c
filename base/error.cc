#include "base/error.h"

#include <utility>

namespace extrospect {

Error::Error(std::string what, ExitCode code)
    : what_(std::move(what)), message_(what_), code_(code) {}

Error& Error::At(std::string where) { return Set(where_, std::move(where)); }
Error& Error::Expected(std::string expected) { return Set(expected_, std::move(expected)); }
Error& Error::Found(std::string found) { return Set(found_, std::move(found)); }
Error& Error::Hint(std::string hint) { return Set(hint_, std::move(hint)); }

Error& Error::Set(std::string& part, std::string text) {
  part = std::move(text);
  message_ = what_;
  const auto add = [this](const char* label, const std::string& value) {
    if (!value.empty()) message_ += std::string("\n  ") + label + ": " + value;
  };
  add("where", where_);
  add("expected", expected_);
  add("found", found_);
  add("hint", hint_);
  return *this;
}

Error UsageError(std::string what) { return Error(std::move(what), ExitCode::kUsage); }

}  // namespace extrospect
