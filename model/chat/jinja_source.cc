#include "model/chat/jinja_source.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <vector>

#include "base/error.h"
#include "model/chat/content_spans.h"
#include "model/files/quote.h"

namespace extrospect {
namespace {

// Real templates stay below a tenth of each.
constexpr size_t kMaxBytes = 128 * 1024;
constexpr size_t kMaxNesting = 64;
constexpr size_t kMaxTokensInTag = 2048;
constexpr size_t kMaxWord = 256;
constexpr size_t kMaxBlanks = 4096;

struct Token {
  enum class Kind { kWord, kString, kSign } kind;
  size_t begin, end;
  size_t partner = 0;  // of a closing bracket: the number of the opening one
};

struct Bracket {
  size_t token, colons;
};

struct Edit {
  size_t at, removed;
  std::string inserted;
};

bool IsWordByte(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// What goes with a tag besides itself.
enum class Trim { kNothing, kNewline, kSpace };

class Preparer {
 public:
  // The tokenizer of Jinja knows one kind of line end, and drops the last one.
  explicit Preparer(std::string_view source) {
    for (size_t i = 0; i < source.size(); ++i) {
      if (source[i] != '\r') {
        source_ += source[i];
      } else if (i + 1 == source.size() || source[i + 1] != '\n') {
        source_ += '\n';
      }
    }
    if (source_.ends_with('\n')) source_.pop_back();
  }

  std::string Prepare() {
    if (source_.size() > kMaxBytes) {
      Fail(0, "at most " + std::to_string(kMaxBytes) + " bytes", std::to_string(source_.size()));
    }
    for (size_t at = 0;;) {
      const size_t open = FindTag(at);
      if (open == std::string::npos) {
        Text(std::string_view(source_).substr(at));
        return result_;
      }
      const char kind = source_[open + 1];
      const std::string_view text = std::string_view(source_).substr(at, open - at);
      const bool minus = source_.compare(open + 2, 1, "-") == 0;
      const bool plus = source_.compare(open + 2, 1, "+") == 0;
      Text(text, minus ? Trim::kSpace : plus || kind == '{' ? Trim::kNothing : Trim::kNewline);
      const size_t begin = open + 2 + (minus || plus ? 1 : 0);
      at = kind == '#' ? Comment(begin) : Tag(open, begin);
    }
  }

 private:
  [[noreturn]] void Fail(size_t at, std::string expected, std::string found) const {
    const auto line =
        1 + std::count(source_.begin(), source_.begin() + static_cast<long>(at), '\n');
    throw Error("cannot use the chat template")
        .At("line " + std::to_string(line) + " of the template")
        .Expected(std::move(expected))
        .Found(std::move(found));
  }

  size_t FindTag(size_t at) const {
    for (; (at = source_.find('{', at)) != std::string::npos; ++at) {
      const char next = at + 1 < source_.size() ? source_[at + 1] : ' ';
      if (next == '{' || next == '%' || next == '#') return at;
    }
    return at;
  }

  // Emits text between two tags. `before_tag`: what the tag behind it takes away; a block or
  // comment that stands alone on its line so far takes the blanks in front of it (lstrip_blocks).
  void Text(std::string_view text, Trim before_tag = Trim::kNothing) {
    bool starts_line = starts_line_;
    if (after_tag_ == Trim::kSpace) {
      const std::string_view rest = PythonStrip(text, true, false);
      if (rest.size() < text.size()) starts_line = text[text.size() - rest.size() - 1] == '\n';
      text = rest;
    } else if (after_tag_ == Trim::kNewline && text.starts_with('\n')) {
      text.remove_prefix(1);
      starts_line = true;
    }
    if (before_tag == Trim::kSpace) {
      text = PythonStrip(text, false, true);
    } else if (before_tag == Trim::kNewline) {
      const size_t line = text.rfind('\n') + 1;  // 0 if there is none
      if ((line > 0 || starts_line) && PythonStrip(text.substr(line), true, false).empty()) {
        text = text.substr(0, line);
      }
    }
    // What has been trimmed or dropped in between must not make a tag of two braces.
    for (const char c : text) c == '{' ? result_ += "{{ '{' }}" : result_ += c;
    after_tag_ = Trim::kNothing;
    starts_line_ = false;
  }

  // Both return the offset behind the tag.
  size_t Comment(size_t begin) {
    const size_t close = source_.find("#}", begin);
    if (close == std::string::npos)
      Fail(begin, "the end of the comment", "the end of the template");
    const char sign = close > begin ? source_[close - 1] : ' ';
    after_tag_ = sign == '-' ? Trim::kSpace : sign == '+' ? Trim::kNothing : Trim::kNewline;
    return close + 2;
  }

  size_t Tag(size_t open, size_t begin) {
    const bool is_block = source_[open + 1] == '%';
    const std::string_view end_sign = is_block ? "%}" : "}}";
    std::vector<Token> tokens;
    std::vector<Bracket> brackets;
    size_t at = begin, blanks = 0;
    for (;; blanks = 0) {
      while (at < source_.size() && std::isspace(static_cast<unsigned char>(source_[at])) != 0) {
        ++at;
        if (++blanks > kMaxBlanks) Fail(at, "an expression", "thousands of blanks in a row");
      }
      if (at >= source_.size()) Fail(open, "the end of the tag", "the end of the template");
      const std::string_view rest = std::string_view(source_).substr(at);
      after_tag_ = is_block ? Trim::kNewline : Trim::kNothing;
      if (brackets.empty()) {
        if (rest.starts_with(end_sign)) break;
        const bool signed_end = rest.substr(1).starts_with(end_sign);
        if (signed_end && (rest[0] == '-' || (rest[0] == '+' && is_block))) {
          after_tag_ = rest[0] == '-' ? Trim::kSpace : Trim::kNothing;
          break;
        }
      }
      if (tokens.size() == kMaxTokensInTag) Fail(open, "shorter expressions", "a very long one");
      tokens.push_back(Read(at));
      at = tokens.back().end;
      if (tokens.back().kind == Token::Kind::kSign) Match(&tokens, &brackets);
    }
    const std::string_view word = is_block && !tokens.empty() ? TextOf(tokens[0]) : "";
    CountBlocks(open, word);
    CheckOperators(tokens);

    if (word == "endmacro") result_ += "{% set python_depth = python_leave() %}";
    result_ += source_.substr(open, 2) + " " + Inside(begin, at, tokens) + " ";
    result_ += end_sign;
    if (word == "macro") result_ += "{% set python_depth = python_enter() %}";
    return at + (source_[at] == end_sign[0] ? 2 : 3);
  }

  Token Read(size_t begin) const {
    size_t end = begin + 1;
    const char first = source_[begin];
    if (IsWordByte(first)) {
      while (end < source_.size() && IsWordByte(source_[end])) ++end;
      if (end - begin > kMaxWord) Fail(begin, "shorter names", "a very long one");
      return {Token::Kind::kWord, begin, end};
    }
    if (first != '\'' && first != '"') return {Token::Kind::kSign, begin, end};
    while (end < source_.size() && source_[end] != first) {
      const bool escapes = source_[end] == '\\' && end + 1 < source_.size();
      if (escapes && std::string_view("uUxN01234567").find(source_[end + 1]) != std::string::npos) {
        Fail(end, "characters that are spelled out", "an escape with the number of one");
      }
      end += escapes ? 2 : 1;
    }
    return {Token::Kind::kString, begin, std::min(end + 1, source_.size())};
  }

  // Keeps track of brackets as the last of `tokens` opens or closes one.
  void Match(std::vector<Token>* tokens, std::vector<Bracket>* brackets) const {
    const char sign = source_[tokens->back().begin];
    if (sign == '(' || sign == '[' || sign == '{') {
      brackets->push_back({tokens->size() - 1, 0});
      if (brackets->size() > kMaxNesting) Fail(tokens->back().begin, "fewer brackets", "too many");
    } else if (brackets->empty()) {
      return;
    } else if (sign == ':') {
      ++brackets->back().colons;
    } else if (sign == ')' || sign == ']' || sign == '}') {
      const Bracket bracket = brackets->back();
      brackets->pop_back();
      tokens->back().partner = bracket.token;
      if (sign == ']' && bracket.colons > 1) CheckStep(*tokens, bracket.token);
    }
  }

  void CheckStep(const std::vector<Token>& tokens, size_t open) const {
    constexpr std::array<std::string_view, 5> kReversed = {":", ":", "-", "1", "]"};
    bool reversed = tokens.size() == open + 1 + kReversed.size();
    for (size_t i = 0; i < kReversed.size(); ++i) {
      reversed = reversed && Is(tokens, open + 1 + i, kReversed[i]);
    }
    if (!reversed) Fail(tokens[open].begin, "[::-1]", "another slice with a step");
  }

  std::string_view TextOf(const Token& token) const {
    return std::string_view(source_).substr(token.begin, token.end - token.begin);
  }
  bool Is(const std::vector<Token>& tokens, size_t i, std::string_view text) const {
    return i < tokens.size() && TextOf(tokens[i]) == text;
  }

  void CountBlocks(size_t open, std::string_view word) {
    constexpr std::array<std::string_view, 5> kOpening = {"if", "for", "macro", "filter", "call"};
    if (std::find(kOpening.begin(), kOpening.end(), word) != kOpening.end()) {
      if (++blocks_ > kMaxNesting) Fail(open, "fewer blocks inside each other", "too many");
    } else if (word.starts_with("end") && blocks_ > 0) {
      --blocks_;
    }
  }

  void CheckOperators(const std::vector<Token>& tokens) const {
    for (size_t i = 0; i < tokens.size(); ++i) {
      const bool whole = Is(tokens, i, "/") && Is(tokens, i + 1, "/");
      if (Is(tokens, i, "/") && !whole && (i == 0 || !Is(tokens, i - 1, "/"))) {
        Fail(tokens[i].begin, "a whole division (//)", "a division with fractions");
      }
      if (Is(tokens, i, "%") || (Is(tokens, i, "/") && !whole)) {
        const std::string_view divisor = i + 1 < tokens.size() ? TextOf(tokens[i + 1]) : "";
        const bool is_number = !divisor.empty() && divisor[0] >= '1' && divisor[0] <= '9';
        if (!is_number) Fail(tokens[i].begin, "a division by a number", Quote(divisor));
      }
      const bool splits = Is(tokens, i, "split") && Is(tokens, i + 1, "(");
      if (splits && (Is(tokens, i + 2, "''") || Is(tokens, i + 2, "\"\""))) {
        Fail(tokens[i].begin, "a text to split at", "an empty one");
      }
    }
  }

  // The number of the first token of the operand that ends with token `last`: a name or a literal
  // with what is called on it, taken from it, and looked up in it.
  size_t OperandBegin(const std::vector<Token>& tokens, size_t last) const {
    constexpr std::array<std::string_view, 7> kKeywords = {"in", "and",  "or", "not",
                                                           "if", "else", "is"};
    const auto is_operand = [&](size_t i) {
      const std::string_view text = TextOf(tokens[i]);
      if (tokens[i].kind == Token::Kind::kSign) return text == ")" || text == "]";
      return std::find(kKeywords.begin(), kKeywords.end(), text) == kKeywords.end();
    };
    for (size_t i = last;;) {
      if (Is(tokens, i, ")") || Is(tokens, i, "]")) {
        i = tokens[i].partner;
        if (i == 0 || !is_operand(i - 1)) return i;
        i -= 1;
      } else {
        if (i < 2 || !Is(tokens, i - 1, ".")) return i;
        i -= 2;
      }
    }
  }

  // The source [begin, end), with x.strip() as (x|python_strip), and the like.
  std::string Inside(size_t begin, size_t end, const std::vector<Token>& tokens) const {
    std::vector<Edit> edits;
    for (size_t i = 1; i + 3 < tokens.size(); ++i) {
      const bool is_call = Is(tokens, i, ".") && Is(tokens, i + 2, "(") && Is(tokens, i + 3, ")");
      const std::string_view name = TextOf(tokens[i + 1]);
      if (!is_call || (name != "strip" && name != "lstrip" && name != "rstrip")) continue;
      edits.push_back({tokens[OperandBegin(tokens, i - 1)].begin, 0, "("});
      edits.push_back({tokens[i].begin, tokens[i + 3].end - tokens[i].begin,
                       "|python_" + std::string(name) + ")"});
    }
    std::stable_sort(edits.begin(), edits.end(),
                     [](const Edit& a, const Edit& b) { return a.at < b.at; });
    std::string inside;
    for (const Edit& edit : edits) {
      inside += source_.substr(begin, edit.at - begin) + edit.inserted;
      begin = edit.at + edit.removed;
    }
    return inside + source_.substr(begin, end - begin);
  }

  std::string source_, result_;
  Trim after_tag_ = Trim::kNothing;  // what the last tag takes away behind it
  bool starts_line_ = true;          // whether the text to come begins a line
  size_t blocks_ = 0;
};

}  // namespace

std::string PrepareForMinja(std::string_view source) { return Preparer(source).Prepare(); }

}  // namespace extrospect
