#include "model/tokenizer/byte_level.h"

#include <array>
#include <cstdint>

#include "model/tokenizer/utf8.h"

namespace extrospect {
namespace {

constexpr char32_t kEnd = 0x144;

struct Alphabet {
  std::array<char32_t, 256> character{};
  std::array<int16_t, kEnd> byte{};

  constexpr Alphabet() {
    byte.fill(-1);
    char32_t next = 0x100;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b != 0xAD);
      character[b] = printable ? static_cast<char32_t>(b) : next++;
      byte[character[b]] = static_cast<int16_t>(b);
    }
  }
};

constexpr Alphabet kAlphabet;

}  // namespace

std::optional<std::string> BytesOfByteLevelToken(std::string_view token) {
  std::string bytes;
  for (size_t i = 0; i < token.size();) {
    const char32_t character = NextCharacter(token, &i);
    if (character >= kEnd || kAlphabet.byte[character] < 0) return std::nullopt;
    bytes += static_cast<char>(kAlphabet.byte[character]);
  }
  return bytes;
}

std::string ByteLevelToken(std::string_view bytes) {
  std::string token;
  for (const char byte : bytes) AppendUtf8(kAlphabet.character[static_cast<uint8_t>(byte)], &token);
  return token;
}

}  // namespace extrospect
