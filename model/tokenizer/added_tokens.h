// Tokens that are found in text before anything else is done to it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace extrospect {

struct AddedToken {
  std::string content;
  int32_t id = -1;
  bool special = false;      // has a meaning of its own; left out when decoding for readers
  bool normalized = false;   // looked for in normalised text
  bool single_word = false;  // found only where it is not part of a longer word
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // takes the white space behind it along
};

// Finds tokens in text, at each place the longest. Immutable; may be used from any number of
// threads at once.
class AddedTokenMatcher {
 public:
  // No content is longer; that keeps the search linear in the text.
  static constexpr size_t kMaxBytes = 1024;

  struct Match {
    size_t begin = 0, end = 0;  // bytes
    size_t token = 0;           // the number it was added under
  };

  // Tokens are numbered from 0 in the order in which they are added. Of two with the same content
  // the later counts. Throws Error if the content is empty or longer than kMaxBytes.
  void Add(const AddedToken& token);

  // Replaces the content of `matches`, in order of the text (valid UTF-8). Where `parse_special` is
  // off, special tokens stay text.
  void Find(std::string_view text, bool parse_special, std::vector<Match>* matches) const;

  bool empty() const { return tokens_.empty(); }

 private:
  struct Flags {
    bool special, single_word, lstrip, rstrip;
  };
  // The longest token that begins at `begin`, if any.
  std::optional<Match> LongestAt(std::string_view text, size_t begin) const;

  std::vector<Flags> tokens_;
  std::vector<int32_t> token_at_;                    // for each node of a trie over bytes; -1: none
  std::unordered_map<uint64_t, uint32_t> children_;  // node * 256 + byte -> node
  std::array<uint32_t, 256> roots_{};                // children of node 0, the root; 0: none
};

}  // namespace extrospect
