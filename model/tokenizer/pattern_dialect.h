// Regular expressions of tokenizer files, in Oniguruma's dialect (Ruby syntax), said in PCRE2's.
#pragma once

#include <string>
#include <string_view>

namespace extrospect {

// The same expression for PCRE2, to be compiled with UTF, UCP and MULTILINE. What differs between
// the two: \s (PCRE2 adds U+180E), \h (a hexadecimal digit in Ruby), \w (marks and connectors are
// word characters in Ruby), \p{Han}, and which characters exist: Oniguruma knows Unicode 16,
// Debian 12's PCRE2 Unicode 14, so that the properties are widened by what was added in between.
// Throws Error for set operations inside brackets, which PCRE2 has not.
std::string TranslateToPcre2(std::string_view expression);

// The inside of a PCRE2 character class: the numeric characters (general category N) of Unicode 17,
// which is what the reference's digit splitter goes by.
std::string NumericCharacterClass();

}  // namespace extrospect
