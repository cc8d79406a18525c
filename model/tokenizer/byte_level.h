// The alphabet in which byte-level vocabularies are written: one printable character for each byte.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace extrospect {

// Bytes 21-7E, A1-AC and AE-FF (hexadecimal) stand for the characters of the same number, the other
// 68, in order, for U+0100 to U+0143 (Radford et al. 2019).

// The bytes that a token of such a vocabulary stands for; nothing if one of its characters (valid
// UTF-8) is not of the alphabet.
std::optional<std::string> BytesOfByteLevelToken(std::string_view token);

// The reverse.
std::string ByteLevelToken(std::string_view bytes);

}  // namespace extrospect
