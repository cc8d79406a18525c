// Which tokens of a transcript are read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace extrospect {

// The tokens [begin, end) of one message's content.
struct MessageSpan {
  std::string role;
  uint32_t begin = 0;
  uint32_t end = 0;
};

// A token selection by its name:
//   all              every token, the template's included
//   content          the tokens of all messages' contents
//   last, last:K     the last one, the last K of the sequence
//   role:R           contents of all messages of role R
//   message:I        content of message I, counted from 0, or from the end if negative
class Selection {
 public:
  // Throws UsageError naming the forms that there are.
  static Selection Parse(std::string_view text);
  // A comma-separated list, of at most 256.
  static std::vector<Selection> ParseList(std::string_view text);

  const std::string& name() const { return name_; }

  // Selected positions, ascending. Empty if the transcript has no such tokens.
  std::vector<uint32_t> Positions(uint32_t n_tokens,
                                  const std::vector<MessageSpan>& messages) const;

 private:
  enum class Kind { kAll, kContent, kLast, kRole, kMessage };
  std::string name_;
  Kind kind_ = Kind::kAll;
  int64_t number_ = 0;  // K or I
  std::string role_;
};

}  // namespace extrospect
