#include "model/tokenizer/added_tokens.h"

#include <algorithm>

#include "base/error.h"
#include "model/tokenizer/utf8.h"

namespace extrospect {

void AddedTokenMatcher::Add(const AddedToken& token) {
  if (token.content.empty() || token.content.size() > kMaxBytes) {
    throw Error("cannot use an added token")
        .At("token " + std::to_string(token.id))
        .Expected("a content of 1 to " + std::to_string(kMaxBytes) + " bytes")
        .Found(std::to_string(token.content.size()) + " bytes");
  }
  if (token_at_.empty()) token_at_.push_back(-1);
  uint32_t node = 0;
  for (const char c : token.content) {
    const uint8_t byte = static_cast<uint8_t>(c);
    const uint32_t fresh = static_cast<uint32_t>(token_at_.size());
    uint32_t& child = node == 0 ? roots_[byte] : children_[uint64_t{node} << 8 | byte];
    if (child == 0) {
      child = fresh;
      token_at_.push_back(-1);
    }
    node = child;
  }
  token_at_[node] = static_cast<int32_t>(tokens_.size());
  tokens_.push_back({token.special, token.single_word, token.lstrip, token.rstrip});
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::LongestAt(std::string_view text,
                                                                     size_t begin) const {
  std::optional<Match> longest;
  uint32_t node = roots_[static_cast<uint8_t>(text[begin])];
  for (size_t end = begin + 1; node != 0; ++end) {
    if (token_at_[node] >= 0) longest = {begin, end, static_cast<size_t>(token_at_[node])};
    if (end == text.size()) break;
    const auto child = children_.find(uint64_t{node} << 8 | static_cast<uint8_t>(text[end]));
    node = child == children_.end() ? 0 : child->second;
  }
  return longest;
}

void AddedTokenMatcher::Find(std::string_view text, bool parse_special,
                             std::vector<Match>* matches) const {
  matches->clear();
  if (empty()) return;
  size_t done = 0;  // the end of the last match that counted
  for (size_t at = 0; at < text.size();) {
    std::optional<Match> match = LongestAt(text, at);
    if (!match.has_value()) {
      ++at;
      continue;
    }
    // A match that does not count still hides those that begin inside it.
    at = match->end;
    const Flags& flags = tokens_[match->token];
    if (flags.special && !parse_special) continue;
    if (flags.single_word) {
      size_t end = match->end;
      const bool word_before =
          match->begin > 0 && IsWordCharacter(CharacterBefore(text, match->begin));
      if (word_before || (end < text.size() && IsWordCharacter(NextCharacter(text, &end))))
        continue;
    }
    if (flags.lstrip) {
      while (match->begin > done && IsWhiteSpace(CharacterBefore(text, match->begin))) {
        do --match->begin;
        while ((static_cast<uint8_t>(text[match->begin]) & 0xC0) == 0x80);
      }
    }
    if (flags.rstrip) {
      for (size_t next = match->end; next < text.size(); match->end = next) {
        if (!IsWhiteSpace(NextCharacter(text, &next))) break;
      }
    }
    matches->push_back(*match);
    done = match->end;
  }
}

}  // namespace extrospect
