// Byte-pair encoding: from a word to the ids of its parts (Sennrich et al. 2016).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace extrospect {

class CharacterPairs;
class WordCache;

// A vocabulary and its merges, the earlier ones going first. Tokens and merges are written as in
// the file: in the byte-level alphabet if `byte_level`.
struct BpeRules {
  std::vector<std::pair<std::string, int32_t>> vocabulary;
  std::vector<std::pair<std::string, std::string>> merges;
  // Words are sequences of bytes (else of characters).
  bool byte_level = false;
  // A character without a token becomes the tokens "<0xNN>" of its UTF-8 bytes, if all exist.
  bool byte_fallback = false;
  // A character that is still without a token becomes this one, if it is set, else nothing.
  std::optional<std::string> unknown;
  // Several unknown characters in a row become one token.
  bool fuse_unknown = false;
  // A word that is a token is that token, whatever the merges would make of it.
  bool ignore_merges = false;
};

// Ids that a word became, and at which of its bytes each begins.
struct BpeTokens {
  std::vector<int32_t> ids;
  std::vector<uint32_t> begin;

  void Clear() {
    ids.clear();
    begin.clear();
  }
};

// Applies the merges of a vocabulary in the order of their rank, leftmost first among equals.
// O(n log n) in the length of a word. Immutable but for a bounded cache of short words that locks
// itself: may be used from any number of threads at once.
class BpeModel {
 public:
  // Throws Error if a merge or `unknown` names a token that is not in the vocabulary, or an id is
  // negative or not below 2^21.
  explicit BpeModel(const BpeRules& rules);
  ~BpeModel();
  BpeModel(const BpeModel&) = delete;
  BpeModel& operator=(const BpeModel&) = delete;

  // Appends the tokens of `word` (valid UTF-8, or any bytes if byte-level).
  void Encode(std::string_view word, BpeTokens* tokens) const;

 private:
  struct Symbols;
  struct Merge {
    int32_t rank = -1, id = -1;
  };
  // Open addressing, from the ids of two neighbours to what becomes of them.
  class MergeTable {
   public:
    void Reserve(size_t n);
    void Set(int32_t left, int32_t right, Merge merge);
    // Null if the two are not merged.
    const Merge* Find(int32_t left, int32_t right) const;

   private:
    struct Entry {
      uint64_t key = ~uint64_t{0};
      Merge merge;
    };
    size_t Slot(uint64_t key) const;
    std::vector<Entry> entries_;
    int shift_ = 64;
  };

  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  using WordMap = std::unordered_map<std::string, int32_t, Hash, std::equal_to<>>;

  int32_t IdOfCharacter(char32_t character) const;
  void AddSymbols(std::string_view word, Symbols* symbols) const;
  void EncodeStretch(std::string_view stretch, uint32_t offset, BpeTokens* tokens) const;
  void MergeFew(Symbols* symbols) const;
  void MergeMany(Symbols* symbols) const;
  void FindJoined(const BpeRules& rules);

  bool byte_level_ = false;
  bool fuse_unknown_ = false;
  int32_t unknown_ = -1;
  MergeTable merges_;
  std::array<int32_t, 256> byte_ids_;   // byte-level, or byte fallback; -1: none
  bool byte_fallback_ = false;          // with all 256 bytes or not
  std::array<int32_t, 128> ascii_ids_;  // characters, if not byte-level
  std::unordered_map<char32_t, int32_t> character_ids_;
  WordMap words_;  // only if ignore_merges

  // The characters that some merge brings together: between any others a long word is cut. Null if
  // that would not be safe.
  std::unique_ptr<CharacterPairs> joined_;

  std::unique_ptr<WordCache> cache_;
};

}  // namespace extrospect
