// Remembers what short words became.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <mutex>
#include <string_view>
#include <vector>

namespace extrospect {

// A table of fixed size (1.2 MiB) in which a new word takes the place of an older one. Thread-safe.
class WordCache {
 public:
  static constexpr size_t kMaxBytes = 23, kMaxTokens = 8;

  WordCache() : slots_(kSlots) {}

  // Appends the tokens of `word`; false if they are not remembered. `offset` is added to the place
  // of each token's beginning.
  template <typename Tokens>
  bool Find(std::string_view word, uint32_t offset, Tokens* tokens) {
    if (word.size() > kMaxBytes) return false;
    const size_t hash = std::hash<std::string_view>()(word);
    const std::lock_guard lock(Mutex(hash));
    const Slot& slot = slots_[hash % kSlots];
    if (slot.bytes != word.size() || std::memcmp(slot.word, word.data(), word.size()) != 0) {
      return false;
    }
    for (size_t i = 0; i < slot.tokens; ++i) {
      tokens->ids.push_back(slot.ids[i]);
      tokens->begin.push_back(offset + slot.begin[i]);
    }
    return true;
  }

  // Remembers tokens [first, end) as those of `word`, if it is short enough.
  template <typename Tokens>
  void Put(std::string_view word, uint32_t offset, const Tokens& tokens, size_t first) {
    const size_t n = tokens.ids.size() - first;
    if (word.empty() || word.size() > kMaxBytes || n > kMaxTokens) return;
    const size_t hash = std::hash<std::string_view>()(word);
    const std::lock_guard lock(Mutex(hash));
    Slot& slot = slots_[hash % kSlots];
    slot.bytes = static_cast<uint8_t>(word.size());
    slot.tokens = static_cast<uint8_t>(n);
    std::memcpy(slot.word, word.data(), word.size());
    for (size_t i = 0; i < n; ++i) {
      slot.ids[i] = tokens.ids[first + i];
      slot.begin[i] = static_cast<uint8_t>(tokens.begin[first + i] - offset);
    }
  }

 private:
  static constexpr size_t kSlots = 1 << 14;

  struct Slot {
    uint8_t bytes = 0;  // 0: empty
    uint8_t tokens = 0;
    char word[kMaxBytes];
    uint8_t begin[kMaxTokens];
    int32_t ids[kMaxTokens];
  };

  // The lock depends on nothing but the slot.
  std::mutex& Mutex(size_t hash) { return mutexes_[hash % kSlots % mutexes_.size()]; }

  std::vector<Slot> slots_;
  std::array<std::mutex, 64> mutexes_;
};

}  // namespace extrospect
