#include "extract/selection.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>

#include "base/error.h"

namespace extrospect {
namespace {

constexpr size_t kMaxSelections = 256;  // activation files number them in 8 bits

std::optional<int64_t> ParseInteger(std::string_view text) {
  int64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

std::vector<uint32_t> Range(uint32_t begin, uint32_t end) {
  std::vector<uint32_t> positions(end - begin);
  std::iota(positions.begin(), positions.end(), begin);
  return positions;
}

}  // namespace

Selection Selection::Parse(std::string_view text) {
  const auto bad = [&] {
    return UsageError("unknown token selection")
        .At("--tokens")
        .Expected("all, content, last, last:K, role:ROLE or message:I")
        .Found(std::string(text));
  };
  Selection selection;
  selection.name_ = text;
  const size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  const bool has_argument = colon != text.npos;
  const std::string_view argument = has_argument ? text.substr(colon + 1) : "";
  if (kind == "all" && !has_argument) {
    selection.kind_ = Kind::kAll;
  } else if (kind == "content" && !has_argument) {
    selection.kind_ = Kind::kContent;
  } else if (kind == "last") {
    selection.kind_ = Kind::kLast;
    const auto count = has_argument ? ParseInteger(argument) : 1;
    if (!count || *count < 1) throw bad();
    selection.number_ = *count;
  } else if (kind == "role" && !argument.empty()) {
    selection.kind_ = Kind::kRole;
    selection.role_ = argument;
  } else if (kind == "message" && has_argument) {
    selection.kind_ = Kind::kMessage;
    const auto index = ParseInteger(argument);
    if (!index) throw bad();
    selection.number_ = *index;
  } else {
    throw bad();
  }
  return selection;
}

std::vector<Selection> Selection::ParseList(std::string_view text) {
  std::vector<Selection> selections;
  while (true) {
    const size_t comma = text.find(',');
    selections.push_back(Parse(text.substr(0, comma)));
    if (selections.size() > kMaxSelections) {
      throw UsageError("too many token selections")
          .At("--tokens")
          .Expected("at most " + std::to_string(kMaxSelections))
          .Found("more");
    }
    if (comma == text.npos) return selections;
    text.remove_prefix(comma + 1);
  }
}

std::vector<uint32_t> Selection::Positions(uint32_t n_tokens,
                                           const std::vector<MessageSpan>& messages) const {
  const auto gather = [&](auto wanted) {
    std::vector<uint32_t> positions;
    for (const MessageSpan& message : messages) {
      if (!wanted(message)) continue;
      const auto range = Range(message.begin, message.end);
      positions.insert(positions.end(), range.begin(), range.end());
    }
    return positions;
  };
  switch (kind_) {
    case Kind::kAll:
      return Range(0, n_tokens);
    case Kind::kContent:
      return gather([](const MessageSpan&) { return true; });
    case Kind::kLast:
      return Range(n_tokens - static_cast<uint32_t>(std::min<int64_t>(number_, n_tokens)),
                   n_tokens);
    case Kind::kRole:
      return gather([this](const MessageSpan& message) { return message.role == role_; });
    case Kind::kMessage: {
      const auto count = static_cast<int64_t>(messages.size());
      const int64_t index = number_ < 0 ? count + number_ : number_;
      if (index < 0 || index >= count) return {};
      return Range(messages[index].begin, messages[index].end);
    }
  }
  return {};
}

}  // namespace extrospect
