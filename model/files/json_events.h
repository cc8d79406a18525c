// A base for reading JSON from untrusted files event by event: nothing is built but what the reader
// keeps, however deep or long the text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace extrospect {

// Refuses every value; a reader overrides what it understands. Events return Fail(…) to stop.
class JsonEvents : public nlohmann::json_sax<nlohmann::json> {
 public:
  // Reads all of `text`. Throws `error` with what was expected and found.
  void Parse(std::string_view text, Error error) {
    if (nlohmann::json::sax_parse(text.begin(), text.end(), this)) return;
    throw error.Expected(expected_).Found(found_).Hint(
        "the file is damaged; download or copy it again");
  }

  bool null() override { return Refuse("null"); }
  bool boolean(bool) override { return Refuse("a boolean"); }
  bool number_integer(int64_t) override { return Refuse("a negative number"); }
  bool number_unsigned(uint64_t) override { return Refuse("a number"); }
  bool number_float(double, const std::string&) override { return Refuse("a fractional number"); }
  bool string(std::string&) override { return Refuse("a string"); }
  bool binary(nlohmann::json::binary_t&) override { return Refuse("binary data"); }
  bool start_object(size_t) override { return Refuse("an object"); }
  bool key(std::string&) override { return Refuse("a key"); }
  bool end_object() override { return Refuse("the end of an object"); }
  bool start_array(size_t) override { return Refuse("an array"); }
  bool end_array() override { return Refuse("the end of an array"); }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::json::exception& error) override {
    return Fail("well-formed JSON",
                std::string(error.what()) + " (byte " + std::to_string(position) + " of the JSON)");
  }

 protected:
  bool Fail(std::string expected, std::string found) {
    expected_ = std::move(expected);
    found_ = std::move(found);
    return false;
  }
  // What should come in the place of a value that is not overridden, and where that is (empty, or
  // such as " in \"key\"").
  virtual std::string Expectation() const = 0;
  virtual std::string Context() const = 0;

 private:
  bool Refuse(const char* found) { return Fail(Expectation(), found + Context()); }

  std::string expected_, found_;
};

}  // namespace extrospect
