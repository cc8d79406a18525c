// The patterns of tokenizer files: fixed strings, and regular expressions in Oniguruma's dialect.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace extrospect {

// A stretch of text that a pattern matched, or that lies between two matches.
struct PatternPart {
  size_t begin = 0, end = 0;  // bytes
  bool is_match = false;
};

// Immutable; may be used from any number of threads at once.
class Pattern {
 public:
  static Pattern Literal(std::string_view text);
  // An expression as tokenizer.json has it, with Oniguruma's meaning: Unicode 16 properties, `^`
  // and
  // `$` at every line. Throws Error if it does not compile or uses what PCRE2 cannot express.
  static Pattern Regex(std::string_view expression);

  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;
  ~Pattern();

  // Cuts `text` (valid UTF-8) into matches and what lies between them, from left to right and
  // without gaps. Matches may be empty, but not right after another match. Replaces the content of
  // `parts`. Throws Error if a regular expression takes more steps than any honest text needs.
  void Cut(std::string_view text, std::vector<PatternPart>* parts) const;

  // The pattern as it was given, for messages and hashes.
  const std::string& source() const { return source_; }
  bool is_literal() const { return regex_ == nullptr; }

 private:
  struct Compiled;

  Pattern();

  std::string source_;
  std::unique_ptr<Compiled> regex_;
};

}  // namespace extrospect
