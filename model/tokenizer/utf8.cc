#include "model/tokenizer/utf8.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace extrospect {
namespace {

// The bytes that may follow a lead byte directly (Unicode standard, table 3-7); further ones are
// 80..BF always. `size` 0: not a lead byte.
struct LeadByte {
  uint8_t size, low, high;
};

constexpr LeadByte Lead(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

// The length of the run of ASCII bytes at `position`, found eight bytes at a time.
size_t AsciiRun(std::string_view text, size_t position) {
  size_t end = position;
  while (end + 8 <= text.size()) {
    uint64_t word;
    std::memcpy(&word, text.data() + end, 8);
    if ((word & 0x8080808080808080u) != 0) break;
    end += 8;
  }
  while (end < text.size() && static_cast<uint8_t>(text[end]) < 0x80) ++end;
  return end - position;
}

}  // namespace

Utf8Sequence ReadUtf8(std::string_view text, size_t position) {
  const LeadByte lead = Lead(static_cast<uint8_t>(text[position]));
  if (lead.size == 0) return {1, false, false};
  uint8_t low = lead.low, high = lead.high;
  for (size_t i = 1; i < lead.size; ++i) {
    if (position + i == text.size()) return {i, false, true};
    const uint8_t byte = static_cast<uint8_t>(text[position + i]);
    if (byte < low || byte > high) return {i, false, false};
    low = 0x80, high = 0xBF;
  }
  return {lead.size, true, false};
}

bool IsValidUtf8(std::string_view text) {
  for (size_t i = AsciiRun(text, 0); i < text.size(); i += AsciiRun(text, i)) {
    const Utf8Sequence sequence = ReadUtf8(text, i);
    if (!sequence.valid) return false;
    i += sequence.size;
  }
  return true;
}

std::string ReplaceInvalidUtf8(std::string_view text, std::vector<uint32_t>* origins) {
  std::string result;
  result.reserve(text.size());
  if (origins != nullptr) origins->clear();
  for (size_t i = 0; i < text.size();) {
    const Utf8Sequence sequence = ReadUtf8(text, i);
    result += sequence.valid ? text.substr(i, sequence.size) : kReplacementCharacter;
    if (origins != nullptr) {
      for (size_t n = 0; origins->size() < result.size(); ++n) {
        origins->push_back(static_cast<uint32_t>(sequence.valid ? i + n : i));
      }
    }
    i += sequence.size;
  }
  return result;
}

size_t UnfinishedUtf8Bytes(std::string_view text) {
  for (size_t n = 1; n <= std::min<size_t>(3, text.size()); ++n) {
    const uint8_t byte = static_cast<uint8_t>(text[text.size() - n]);
    if ((byte & 0xC0) == 0x80) continue;
    const Utf8Sequence sequence = ReadUtf8(text, text.size() - n);
    return sequence.cut_off && sequence.size == n ? n : 0;
  }
  return 0;
}

char32_t NextCharacter(std::string_view text, size_t* position) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[*position + i]); };
  const uint8_t first = byte(0);
  char32_t character = first;
  size_t size = 1;
  if (first >= 0xF0) {
    character = (first & 0x07u) << 18 | (byte(1) & 0x3Fu) << 12 | (byte(2) & 0x3Fu) << 6 |
                (byte(3) & 0x3Fu);
    size = 4;
  } else if (first >= 0xE0) {
    character = (first & 0x0Fu) << 12 | (byte(1) & 0x3Fu) << 6 | (byte(2) & 0x3Fu);
    size = 3;
  } else if (first >= 0x80) {
    character = (first & 0x1Fu) << 6 | (byte(1) & 0x3Fu);
    size = 2;
  }
  *position += size;
  return character;
}

char32_t CharacterBefore(std::string_view text, size_t end) {
  size_t begin = end - 1;
  while (begin > 0 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
  return NextCharacter(text, &begin);
}

void AppendUtf8(char32_t c, std::string* text) {
  if (c < 0x80) {
    *text += static_cast<char>(c);
  } else if (c < 0x800) {
    *text += static_cast<char>(0xC0 | c >> 6);
    *text += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    *text += static_cast<char>(0xE0 | c >> 12);
    *text += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    *text += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    *text += static_cast<char>(0xF0 | c >> 18);
    *text += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    *text += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    *text += static_cast<char>(0x80 | (c & 0x3F));
  }
}

bool IsWhiteSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool IsWordCharacter(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:  // the alphabetic symbols (circled and squared letters) and the two joiners
      return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
             (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189) || c == 0x200C ||
             c == 0x200D;
  }
}

}  // namespace extrospect
