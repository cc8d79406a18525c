// UTF-8, valid and not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace extrospect {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

// What stands at one place of a byte string.
struct Utf8Sequence {
  size_t size = 0;       // bytes of a well-formed character, or of a maximal ill-formed subpart
  bool valid = false;    // a well-formed character
  bool cut_off = false;  // ill-formed only because the text ends here
};

// `position` < text.size().
Utf8Sequence ReadUtf8(std::string_view text, size_t position);

bool IsValidUtf8(std::string_view text);

// `text` with U+FFFD for each maximal ill-formed subpart. If `origins` is given it is filled with
// one entry a byte of the result: the offset in `text` of the character that the byte belongs to
// (plus the byte's place in it, if the character was well-formed).
std::string ReplaceInvalidUtf8(std::string_view text, std::vector<uint32_t>* origins = nullptr);

// The number of bytes at the end of `text` that begin a character and do not finish it.
size_t UnfinishedUtf8Bytes(std::string_view text);

// The character at text[*position], which moves on past it. The text must be valid UTF-8.
char32_t NextCharacter(std::string_view text, size_t* position);
// The character that ends right before `end` > 0. The text must be valid UTF-8.
char32_t CharacterBefore(std::string_view text, size_t end);

void AppendUtf8(char32_t character, std::string* text);

// White_Space and the word characters of Unicode's regular expressions (UTS #18, annex C).
bool IsWhiteSpace(char32_t character);
bool IsWordCharacter(char32_t character);

}  // namespace extrospect
