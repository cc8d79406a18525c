#include "model/tokenizer/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <utility>

#include "base/error.h"
#include "model/files/quote.h"
#include "model/tokenizer/pattern_dialect.h"
#include "model/tokenizer/utf8.h"

namespace extrospect {
namespace {

// Steps of backtracking from one starting point, and kilobytes of memory to remember them in. A
// megabyte of blanks needs about a million steps with the patterns in use.
constexpr uint32_t kMatchLimit = 10'000'000;
constexpr uint32_t kHeapLimitKib = 256 * 1024;
constexpr size_t kMaxExpressionBytes = 64 * 1024;
constexpr size_t kMessageBytes = 1000;

template <auto kFree>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Code = std::unique_ptr<pcre2_code, Freer<pcre2_code_free>>;
using CompileContext = std::unique_ptr<pcre2_compile_context, Freer<pcre2_compile_context_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Freer<pcre2_match_context_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Freer<pcre2_match_data_free>>;

std::string PcreMessage(int code) {
  PCRE2_UCHAR message[256];
  pcre2_get_error_message(code, message, sizeof(message));
  return reinterpret_cast<const char*>(message);
}

size_t AfterCharacter(std::string_view text, size_t at) {
  NextCharacter(text, &at);
  return at;
}

}  // namespace

struct Pattern::Compiled {
  Code code;
  MatchContext context;

  // One match at or after `from`; false if there is none.
  bool Match(std::string_view text, size_t from, pcre2_match_data* data,
             const std::string& source) const {
    const auto run = [&](uint32_t options) {
      return pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                         PCRE2_NO_UTF_CHECK | options, data, context.get());
    };
    int result = run(0);
    // The compiled code has a small fixed stack, the interpreter a large one.
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = run(PCRE2_NO_JIT);
    if (result == PCRE2_ERROR_NOMATCH) return false;
    if (result < 0) {
      throw Error("a regular expression of the tokenizer cannot be matched")
          .At(Quote(source, kMessageBytes))
          .Found(PcreMessage(result))
          .Hint("shorten the text, or check where the tokenizer came from");
    }
    return true;
  }
};

Pattern::Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;
Pattern::~Pattern() = default;

Pattern Pattern::Literal(std::string_view text) {
  if (text.empty()) {
    throw Error("cannot use a pattern of the tokenizer").Expected("a string that is not empty");
  }
  Pattern pattern;
  pattern.source_ = text;
  return pattern;
}

Pattern Pattern::Regex(std::string_view expression) {
  Pattern pattern;
  pattern.source_ = expression;
  pattern.regex_ = std::make_unique<Compiled>();

  const std::string translated = TranslateToPcre2(expression);
  const CompileContext compile_context(pcre2_compile_context_create(nullptr));
  pattern.regex_->context.reset(pcre2_match_context_create(nullptr));
  if (!compile_context || !pattern.regex_->context) throw Error("out of memory");
  pcre2_set_newline(compile_context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_max_pattern_length(compile_context.get(), kMaxExpressionBytes);

  int error = 0;
  PCRE2_SIZE error_at = 0;
  pattern.regex_->code.reset(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
                    &error_at, compile_context.get()));
  if (!pattern.regex_->code) {
    throw Error("cannot use a regular expression of the tokenizer")
        .At(Quote(pattern.source_, kMessageBytes))
        .Found(PcreMessage(error) + ", at character " + std::to_string(error_at) + " of " +
               Quote(translated, kMessageBytes));
  }
  // Without a JIT for this processor, or for this expression, the interpreter does it, slower.
  pcre2_jit_compile(pattern.regex_->code.get(), PCRE2_JIT_COMPLETE);
  pcre2_set_match_limit(pattern.regex_->context.get(), kMatchLimit);
  pcre2_set_heap_limit(pattern.regex_->context.get(), kHeapLimitKib);
  return pattern;
}

void Pattern::Cut(std::string_view text, std::vector<PatternPart>* parts) const {
  parts->clear();
  size_t done = 0;  // everything before is in `parts`
  const auto add = [&](size_t begin, size_t end) {
    if (done != begin) parts->push_back({done, begin, false});
    parts->push_back({begin, end, true});
    done = end;
  };

  if (is_literal()) {
    for (size_t at; (at = text.find(source_, done)) != std::string_view::npos;) {
      add(at, at + source_.size());
    }
  } else if (!text.empty()) {
    const MatchData data(pcre2_match_data_create(1, nullptr));
    if (!data) throw Error("out of memory");
    const PCRE2_SIZE* const span = pcre2_get_ovector_pointer(data.get());
    bool matched_before = false;
    for (size_t from = 0; from <= text.size() && regex_->Match(text, from, data.get(), source_);) {
      const size_t begin = span[0], end = span[1];
      if (begin > end) break;  // \K in a lookahead; never in honest patterns
      if (begin == end && matched_before && end == done) {
        if (from == text.size()) break;
        from = AfterCharacter(text, from);
        continue;
      }
      add(begin, end);
      matched_before = true;
      from = end;
    }
  }
  if (done != text.size()) parts->push_back({done, text.size(), false});
}

}  // namespace extrospect
