#include "model/tokenizer/pattern_dialect.h"

#include <cstdint>
#include <cstdio>
#include <span>

#include "base/error.h"
#include "model/files/quote.h"

namespace extrospect {
namespace {

struct Range {
  uint32_t first, last;
};

// The characters that Unicode 15.0, 15.1 and 16.0 added, by general category (UnicodeData.txt).
constexpr Range kUpper[] = {
    {0x1C89, 0x1C89}, {0xA7CB, 0xA7CC}, {0xA7DA, 0xA7DA}, {0xA7DC, 0xA7DC}, {0x10D50, 0x10D65}};
constexpr Range kLower[] = {
    {0x1C8A, 0x1C8A}, {0xA7CD, 0xA7CD}, {0xA7DB, 0xA7DB}, {0x10D70, 0x10D85}, {0x1DF25, 0x1DF2A}};
constexpr Range kModifierLetter[] = {{0x10D4E, 0x10D4E}, {0x10D6F, 0x10D6F}, {0x16D40, 0x16D42},
                                     {0x16D6B, 0x16D6C}, {0x1E030, 0x1E06D}, {0x1E4EB, 0x1E4EB}};
constexpr Range kOtherLetter[] = {
    {0x105C0, 0x105F3}, {0x10D4A, 0x10D4D}, {0x10D4F, 0x10D4F}, {0x10EC2, 0x10EC4},
    {0x1123F, 0x11240}, {0x11380, 0x11389}, {0x1138B, 0x1138B}, {0x1138E, 0x1138E},
    {0x11390, 0x113B5}, {0x113B7, 0x113B7}, {0x113D1, 0x113D1}, {0x113D3, 0x113D3},
    {0x11BC0, 0x11BE0}, {0x11F02, 0x11F02}, {0x11F04, 0x11F10}, {0x11F12, 0x11F33},
    {0x1342F, 0x1342F}, {0x13441, 0x13446}, {0x13460, 0x143FA}, {0x16100, 0x1611D},
    {0x16D43, 0x16D6A}, {0x18CFF, 0x18CFF}, {0x1B132, 0x1B132}, {0x1B155, 0x1B155},
    {0x1E4D0, 0x1E4EA}, {0x1E5D0, 0x1E5ED}, {0x1E5F0, 0x1E5F0}, {0x2B739, 0x2B739},
    {0x2EBF0, 0x2EE5D}, {0x31350, 0x323AF}};
constexpr Range kMark[] = {
    {0x897, 0x897},     {0xCF3, 0xCF3},     {0xECE, 0xECE},     {0x10D69, 0x10D6D},
    {0x10EFC, 0x10EFF}, {0x11241, 0x11241}, {0x113B8, 0x113C0}, {0x113C2, 0x113C2},
    {0x113C5, 0x113C5}, {0x113C7, 0x113CA}, {0x113CC, 0x113D0}, {0x113D2, 0x113D2},
    {0x113E1, 0x113E2}, {0x11F00, 0x11F01}, {0x11F03, 0x11F03}, {0x11F34, 0x11F3A},
    {0x11F3E, 0x11F42}, {0x11F5A, 0x11F5A}, {0x13440, 0x13440}, {0x13447, 0x13455},
    {0x1611E, 0x1612F}, {0x1E08F, 0x1E08F}, {0x1E4EC, 0x1E4EF}, {0x1E5EE, 0x1E5EF}};
constexpr Range kDecimalDigit[] = {{0x10D40, 0x10D49}, {0x116D0, 0x116E3}, {0x11BF0, 0x11BF9},
                                   {0x11F50, 0x11F59}, {0x16130, 0x16139}, {0x16D70, 0x16D79},
                                   {0x1CCF0, 0x1CCF9}, {0x1E4F0, 0x1E4F9}, {0x1E5F1, 0x1E5FA}};
constexpr Range kOtherNumber[] = {{0x1D2C0, 0x1D2D3}};
constexpr Range kPunctuation[] = {{0x1B4E, 0x1B4F},   {0x1B7F, 0x1B7F},   {0x10D6E, 0x10D6E},
                                  {0x113D4, 0x113D5}, {0x113D7, 0x113D8}, {0x11B00, 0x11B09},
                                  {0x11BE1, 0x11BE1}, {0x11F43, 0x11F4F}, {0x16D6D, 0x16D6F},
                                  {0x1E5FF, 0x1E5FF}};
constexpr Range kSymbol[] = {
    {0x2427, 0x2429},   {0x2FFC, 0x2FFF},   {0x31E4, 0x31E5},   {0x31EF, 0x31EF},
    {0x10D8E, 0x10D8F}, {0x1CC00, 0x1CCEF}, {0x1CD00, 0x1CEB3}, {0x1F6DC, 0x1F6DC},
    {0x1F774, 0x1F776}, {0x1F77B, 0x1F77F}, {0x1F7D9, 0x1F7D9}, {0x1F8B2, 0x1F8BB},
    {0x1F8C0, 0x1F8C1}, {0x1FA75, 0x1FA77}, {0x1FA87, 0x1FA89}, {0x1FA8F, 0x1FA8F},
    {0x1FAAD, 0x1FAAF}, {0x1FABB, 0x1FABF}, {0x1FAC6, 0x1FAC6}, {0x1FACE, 0x1FACF},
    {0x1FADA, 0x1FADC}, {0x1FADF, 0x1FADF}, {0x1FAE8, 0x1FAE9}, {0x1FAF7, 0x1FAF8},
    {0x1FBCB, 0x1FBEF}};
constexpr Range kHan[] = {{0x2B739, 0x2B739}, {0x2EBF0, 0x2EE5D}, {0x31350, 0x323AF}};
// What Unicode 17 added to category N on top of that.
constexpr Range kNumberOfUnicode17[] = {{0x11DE0, 0x11DE9}, {0x16FF4, 0x16FF6}};

constexpr std::string_view kSpaces =
    "\\t-\\r "
    "\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";

void AppendRanges(std::span<const Range> ranges, std::string* out) {
  for (const Range& range : ranges) {
    char text[40];
    std::snprintf(text, sizeof(text), "\\x{%x}-\\x{%x}", range.first, range.last);
    *out += text;
  }
}

// The inside of a character class for a property, or "" for one that is left as it is.
std::string PropertyClass(std::string_view name) {
  std::string members;
  const auto add = [&](std::string_view of, std::span<const Range> ranges) {
    if (name == of || (of.size() == 2 && name == of.substr(0, 1))) AppendRanges(ranges, &members);
  };
  add("Lu", kUpper);
  add("Ll", kLower);
  add("Lm", kModifierLetter);
  add("Lo", kOtherLetter);
  add("M", kMark);
  add("Nd", kDecimalDigit);
  if (name == "N") AppendRanges(kOtherNumber, &members);
  add("P", kPunctuation);
  add("S", kSymbol);
  if (name == "Han") {
    AppendRanges(kHan, &members);
    return "\\p{sc:Han}" + members;
  }
  return members.empty() ? members : "\\p{" + std::string(name) + "}" + members;
}

std::string WordClass() {
  return PropertyClass("L") + PropertyClass("M") + PropertyClass("Nd") +
         "\\p{Nl}\\p{Pc}\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}"
         "\\x{1f170}-\\x{1f189}";
}

class Translator {
 public:
  explicit Translator(std::string_view source) : source_(source) {}

  std::string Translate() {
    while (at_ < source_.size()) {
      const char c = source_[at_];
      if (c == '\\') {
        Escape();
      } else if (in_class_) {
        InClass(c);
      } else {
        if (c == '[')
          OpenClass();
        else
          Copy(1);
      }
    }
    return out_;
  }

 private:
  [[noreturn]] void Fail(std::string what) const {
    throw Error("cannot use a regular expression of the tokenizer")
        .At("character " + std::to_string(at_ + 1) + " of " + Quote(source_, 1000))
        .Found(std::move(what));
  }

  void Copy(size_t n) {
    out_ += source_.substr(at_, n);
    at_ += n;
  }

  void OpenClass() {
    in_class_ = true;
    Copy(1);
    if (at_ < source_.size() && source_[at_] == '^') Copy(1);
    if (at_ < source_.size() && source_[at_] == ']') Copy(1);  // a literal bracket
  }

  void InClass(char c) {
    if (source_.substr(at_, 2) == "&&") Fail("an intersection of character sets (&&)");
    if (c == '[') {
      const size_t end = source_.find(":]", at_);
      if (source_.substr(at_, 2) != "[:" || end == std::string_view::npos) {
        Fail("a character set inside another");
      }
      return Copy(end + 2 - at_);
    }
    if (c == ']') in_class_ = false;
    Copy(1);
  }

  // Emits a set of characters, given as the inside of a class.
  void Set(const std::string& members, bool negated) {
    if (!in_class_) {
      out_ += (negated ? "[^" : "[") + members + "]";
    } else if (!negated) {
      out_ += members;
    } else {
      Fail("a negated property inside a character set");
    }
  }

  void Escape() {
    if (at_ + 1 == source_.size()) Fail("a backslash at the end");
    const char kind = source_[at_ + 1];
    if (kind == 'p' || kind == 'P') return Property(kind == 'P');
    const auto shorthand = [&](const std::string& members, bool negated) {
      // Inside brackets PCRE2's own negated shorthand is close enough to keep: it differs in
      // U+180E and the youngest characters only.
      if (negated && in_class_) return Copy(2);
      Set(members, negated);
      at_ += 2;
    };
    switch (kind) {
      case 's':
      case 'S':
        return shorthand(std::string(kSpaces), kind == 'S');
      case 'd':
      case 'D':
        return shorthand(PropertyClass("Nd"), kind == 'D');
      case 'w':
      case 'W':
        return shorthand(WordClass(), kind == 'W');
      case 'h':
      case 'H':
        return shorthand("0-9a-fA-F", kind == 'H');
      default:
        Copy(2);
    }
  }

  void Property(bool negated) {
    const size_t close = source_.find('}', at_);
    if (source_.substr(at_ + 2, 1) != "{" || close == std::string_view::npos) {
      Fail("a property without a name in braces");
    }
    std::string_view name = source_.substr(at_ + 3, close - at_ - 3);
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    const std::string members = PropertyClass(name);
    if (members.empty() || (negated && in_class_)) {
      out_ += (negated ? "\\P{" : "\\p{") + std::string(name) + "}";
    } else {
      Set(members, negated);
    }
    at_ = close + 1;
  }

  const std::string_view source_;
  size_t at_ = 0;
  bool in_class_ = false;
  std::string out_;
};

}  // namespace

std::string TranslateToPcre2(std::string_view expression) {
  // White space up to the end of a line. As it stands, a long run of spaces inside a line would be
  // tried from each of its spaces anew, in quadratic time; a run has to be tried from its start
  // only.
  if (expression == "\\s+$") {
    const std::string space = "[" + std::string(kSpaces) + "]";
    return "(?:(?<!" + space + ")|\\G)" + space + "+$";
  }
  return Translator(expression).Translate();
}

std::string NumericCharacterClass() {
  std::string members = PropertyClass("N");
  AppendRanges(kNumberOfUnicode17, &members);
  return members;
}

}  // namespace extrospect
