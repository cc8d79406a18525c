#include "model/jinja_source.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <vector>

#include "base/error.h"
#include "model/quote.h"

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

class Preparer {
 public:
  explicit Preparer(std::string_view source) : source_(source) {}

  std::string Prepare() {
    if (source_.size() > kMaxBytes) {
      Fail(0, "at most " + std::to_string(kMaxBytes) + " bytes", std::to_string(source_.size()));
    }
    size_t at = 0;
    while (at < source_.size()) {
      const size_t open = source_.find('{', at);
      const std::string_view text = source_.substr(at, open - at);
      CheckBlanks(at, text);
      if (open == std::string_view::npos) break;
      const char kind = open + 1 < source_.size() ? source_[open + 1] : ' ';
      if (kind == '#') {
        at = Comment(open);
      } else if (kind == '%' || kind == '{') {
        at = Tag(open);
      } else {
        at = open + 1;
      }
    }
    return Apply();
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

  void CheckBlanks(size_t begin, std::string_view text) const {
    size_t run = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      run = std::isspace(static_cast<unsigned char>(text[i])) != 0 ? run + 1 : 0;
      if (run > kMaxBlanks) Fail(begin + i, "text", "thousands of blanks in a row");
    }
  }

  size_t Comment(size_t open) {
    const size_t close = source_.find("#}", open + 2);
    if (close == std::string_view::npos) return source_.size();
    // The signs at both ends that say whether blanks around the comment go with it.
    const auto is_sign = [&](size_t i) { return source_[i] == '-' || source_[i] == '+'; };
    const size_t begin = open + 2 + (close > open + 2 && is_sign(open + 2) ? 1 : 0);
    const size_t end = close - (close > begin && is_sign(close - 1) ? 1 : 0);
    edits_.push_back({begin, end - begin, " "});
    return close + 2;
  }

  // Cuts a tag into tokens, checks it, and returns the offset behind it.
  size_t Tag(size_t open) {
    const bool is_block = source_[open + 1] == '%';
    std::vector<Token> tokens;
    std::vector<Bracket> brackets;
    size_t at = open + 2, blanks = 0;
    for (;; blanks = 0) {
      while (at < source_.size() && std::isspace(static_cast<unsigned char>(source_[at])) != 0) {
        ++at;
        if (++blanks > kMaxBlanks) Fail(at, "an expression", "thousands of blanks in a row");
      }
      if (at >= source_.size()) return at;
      if (brackets.empty() && source_.substr(at, 2) == (is_block ? "%}" : "}}")) break;
      if (tokens.size() == kMaxTokensInTag) Fail(open, "shorter expressions", "a very long one");
      const Token token = Read(at);
      at = token.end;
      tokens.push_back(token);
      if (token.kind == Token::Kind::kSign) Match(&tokens, &brackets);
    }
    if (is_block) CountBlocks(open, tokens);
    CheckOperators(tokens);
    RewriteStrips(tokens);
    return at + 2;
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
    while (end < source_.size() && source_[end] != first) end += source_[end] == '\\' ? 2 : 1;
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

  std::string_view Text(const Token& token) const {
    return source_.substr(token.begin, token.end - token.begin);
  }
  bool Is(const std::vector<Token>& tokens, size_t i, std::string_view text) const {
    return i < tokens.size() && Text(tokens[i]) == text;
  }

  void CountBlocks(size_t open, const std::vector<Token>& tokens) {
    size_t first = 0;
    while (Is(tokens, first, "-") || Is(tokens, first, "+")) ++first;
    if (first == tokens.size()) return;
    const std::string_view word = Text(tokens[first]);
    constexpr std::array<std::string_view, 5> kOpening = {"if", "for", "macro", "filter", "call"};
    if (std::find(kOpening.begin(), kOpening.end(), word) != kOpening.end()) {
      if (++blocks_ > kMaxNesting) Fail(open, "fewer blocks inside each other", "too many");
    } else if (word.starts_with("end") && blocks_ > 0) {
      --blocks_;
    }
  }

  void CheckOperators(const std::vector<Token>& tokens) const {
    for (size_t i = 0; i < tokens.size(); ++i) {
      const bool divides = Is(tokens, i, "%") || Is(tokens, i, "/");
      if (divides && !Is(tokens, i + 1, "/")) {
        const std::string_view divisor = i + 1 < tokens.size() ? Text(tokens[i + 1]) : "";
        const bool is_number = !divisor.empty() && divisor[0] >= '1' && divisor[0] <= '9';
        if (!is_number) Fail(tokens[i].begin, "a division by a number", Quote(divisor));
      }
    }
  }

  // The number of the first token of the operand that ends with token `last`: a name or a literal
  // with what is called on it, taken from it, and looked up in it.
  size_t OperandBegin(const std::vector<Token>& tokens, size_t last) const {
    constexpr std::array<std::string_view, 7> kKeywords = {"in", "and",  "or", "not",
                                                           "if", "else", "is"};
    const auto is_operand = [&](size_t i) {
      const std::string_view text = Text(tokens[i]);
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

  void RewriteStrips(const std::vector<Token>& tokens) {
    for (size_t i = 1; i + 3 < tokens.size(); ++i) {
      const bool is_call = Is(tokens, i, ".") && Is(tokens, i + 2, "(") && Is(tokens, i + 3, ")");
      const std::string_view name = Text(tokens[i + 1]);
      if (!is_call || (name != "strip" && name != "lstrip" && name != "rstrip")) continue;
      const size_t begin = tokens[OperandBegin(tokens, i - 1)].begin;
      edits_.push_back({begin, 0, "("});
      edits_.push_back({tokens[i].begin, tokens[i + 3].end - tokens[i].begin,
                        "|python_" + std::string(name) + ")"});
    }
  }

  std::string Apply() {
    std::stable_sort(edits_.begin(), edits_.end(),
                     [](const Edit& a, const Edit& b) { return a.at < b.at; });
    std::string result;
    size_t done = 0;
    for (const Edit& edit : edits_) {
      result += source_.substr(done, edit.at - done);
      result += edit.inserted;
      done = edit.at + edit.removed;
    }
    return result += source_.substr(done);
  }

  const std::string_view source_;
  std::vector<Edit> edits_;
  size_t blocks_ = 0;
};

}  // namespace

std::string PrepareForMinja(std::string_view source) { return Preparer(source).Prepare(); }

}  // namespace extrospect
