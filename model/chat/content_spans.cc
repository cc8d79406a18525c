#include "model/chat/content_spans.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "model/tokenizer/utf8.h"

namespace extrospect {
namespace {

using Span = std::pair<size_t, size_t>;
using Render = std::function<std::string(const std::vector<ChatMessage>&)>;

// What str.isspace() holds for in Python: White_Space and the four separators of ASCII.
bool IsPythonSpace(char32_t c) { return IsWhiteSpace(c) || (c >= 0x1C && c <= 0x1F); }

class SpanFinder {
 public:
  SpanFinder(const std::vector<ChatMessage>& messages, std::string_view text, const Render& render)
      : messages_(messages), text_(text), render_(render) {
    for (const ChatMessage& message : messages) {
      contents_.push_back(ReplaceInvalidUtf8(message.content));
    }
    // Characters for private use, in a combination that none of the contents has, and without
    // letters, which a template might put in upper case.
    for (const std::string& content : contents_) {
      while (content.find(mark_) != std::string::npos) mark_ += "\uE000";
    }
  }

  std::vector<Span> Find() const {
    if (auto spans = FindAll()) return *std::move(spans);
    std::vector<Span> spans;
    size_t done = 0;
    for (size_t i = 0; i < messages_.size(); ++i) {
      spans.push_back(FindOne(i, done));
      done = spans.back().second;
    }
    return spans;
  }

 private:
  std::string Mark(size_t i) const { return mark_ + std::to_string(i) + "\uE001"; }

  // The chat with marks instead of the contents [begin, end); nothing if the template refuses it.
  std::optional<std::string> RenderMarked(size_t begin, size_t end) const {
    std::vector<ChatMessage> marked = messages_;
    for (size_t i = begin; i < end; ++i) marked[i].content = Mark(i);
    try {
      return render_(marked);
    } catch (const Error&) {
      return std::nullopt;
    }
  }

  // A content as templates render it.
  std::vector<std::string_view> Forms(size_t i) const {
    const std::string_view content = contents_[i];
    return {content, PythonStrip(content, false, true), PythonStrip(content, true, false),
            PythonStrip(content, true, true)};
  }

  // All at once: the text has to be what stands between the marks, with the contents in between.
  std::optional<std::vector<Span>> FindAll() const {
    const std::optional<std::string> marked = RenderMarked(0, messages_.size());
    if (!marked.has_value()) return std::nullopt;
    std::vector<std::string_view> between;
    size_t done = 0;
    for (size_t i = 0; i < messages_.size(); ++i) {
      const std::string mark = Mark(i);
      const size_t at = marked->find(mark, done);
      if (at == std::string::npos) return std::nullopt;
      between.push_back(std::string_view(*marked).substr(done, at - done));
      done = at + mark.size();
    }
    between.push_back(std::string_view(*marked).substr(done));

    std::vector<Span> spans;
    if (!text_.starts_with(between[0])) return std::nullopt;
    size_t at = between[0].size();
    for (size_t i = 0; i < messages_.size(); ++i) {
      const std::string_view rest = text_.substr(at);
      const auto forms = Forms(i);
      const auto form = std::find_if(forms.begin(), forms.end(), [&](std::string_view candidate) {
        return rest.starts_with(candidate) &&
               rest.substr(candidate.size()).starts_with(between[i + 1]);
      });
      if (form == forms.end()) return std::nullopt;
      spans.emplace_back(at, at + form->size());
      at += form->size() + between[i + 1].size();
    }
    if (at != text_.size()) return std::nullopt;
    return spans;
  }

  // One: what stands around its mark also stands around its content. `done`: the end of the
  // content before.
  Span FindOne(size_t i, size_t done) const {
    const std::optional<std::string> marked = RenderMarked(i, i + 1);
    if (marked.has_value()) {
      const std::string mark = Mark(i);
      const size_t at = marked->find(mark);
      if (at == std::string::npos) return {done, done};  // left out
      const std::string_view before = std::string_view(*marked).substr(0, at);
      const std::string_view after = std::string_view(*marked).substr(at + mark.size());
      if (before.size() + after.size() <= text_.size() && text_.starts_with(before) &&
          text_.ends_with(after)) {
        return {before.size(), text_.size() - after.size()};
      }
    }
    // The template looks into the content: all that is left is to look for it in the text.
    return Search(i, done).value_or(Span{done, done});
  }

  std::optional<Span> Search(size_t i, size_t from) const {
    for (const std::string_view form : Forms(i)) {
      const size_t at = form.empty() ? std::string_view::npos : text_.find(form, from);
      if (at != std::string_view::npos) return Span{at, at + form.size()};
    }
    return std::nullopt;
  }

  const std::vector<ChatMessage>& messages_;
  const std::string_view text_;
  const Render& render_;
  std::vector<std::string> contents_;
  std::string mark_ = "\uE000\uE000";
};

}  // namespace

std::vector<Span> FindContentSpans(const std::vector<ChatMessage>& messages, std::string_view text,
                                   const Render& render) {
  return SpanFinder(messages, text, render).Find();
}

std::string_view PythonStrip(std::string_view text, bool left, bool right) {
  size_t begin = 0, end = text.size();
  while (left && begin < end) {
    size_t next = begin;
    if (!IsPythonSpace(NextCharacter(text, &next))) break;
    begin = next;
  }
  while (right && begin < end && IsPythonSpace(CharacterBefore(text, end))) {
    do --end;
    while ((static_cast<uint8_t>(text[end]) & 0xC0) == 0x80);
  }
  return text.substr(begin, end - begin);
}

}  // namespace extrospect
