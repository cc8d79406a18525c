// What an action complains about, for tests of error messages.
#pragma once

#include <string>

#include "base/error.h"

namespace extrospect {

// The message of the Error that `action` throws; empty if it throws none.
template <typename Action>
std::string MessageOf(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// For EXPECT_PRED2, which shows both texts.
inline bool Contains(const std::string& message, const std::string& text) {
  return message.find(text) != std::string::npos;
}

}  // namespace extrospect
