// The texts of tests/parity/fixtures/tokenizer/strings.txt, and what references make of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "model/tokenizer/tokenizer.h"
#include "model/tokenizer/utf8.h"

namespace extrospect {

inline const std::filesystem::path kTokenizerFixtures = "tests/parity/fixtures/tokenizer";

// Undoes the escapes of one line: "\\" and "\xNN".
inline std::string Unescape(std::string_view line) {
  std::string text;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] != '\\') {
      text += line[i];
    } else if (line[++i] == '\\') {
      text += '\\';
    } else {
      text += static_cast<char>(std::stoi(std::string(line.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    }
  }
  return text;
}

inline std::vector<std::string> Lines(const std::filesystem::path& path) {
  const std::string content = ReadFile(path);
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < content.size();) {
    const size_t end = content.find('\n', begin);
    lines.push_back(content.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

inline std::vector<std::string> TokenizerStrings() {
  std::vector<std::string> texts = Lines(kTokenizerFixtures / "strings.txt");
  for (std::string& text : texts) text = Unescape(text);
  return texts;
}

inline std::string Join(const std::vector<int32_t>& ids) {
  std::string text;
  for (const int32_t id : ids) {
    if (!text.empty()) text += ',';
    text += std::to_string(id);
  }
  return text;
}

// The number of the character in which each token begins, as the reference counts them: in the text
// that errors="replace" makes of `text`.
inline std::string CharacterStarts(std::string_view text, const std::vector<uint32_t>& begin) {
  std::vector<uint32_t> character_of(text.size() + 1);
  uint32_t character = 0;
  for (size_t i = 0; i < text.size(); ++character) {
    for (size_t n = ReadUtf8(text, i).size; n > 0; --n) character_of[i++] = character;
  }
  character_of[text.size()] = character;
  std::string starts;
  for (const uint32_t at : begin) {
    if (!starts.empty()) starts += ',';
    starts += std::to_string(character_of.at(at));
  }
  return starts;
}

inline std::string ShortHash(std::string_view text) { return Sha256Hex(text).substr(0, 8); }

}  // namespace extrospect
