// Which characters stand next to each other inside the tokens of a vocabulary.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace extrospect {

// Where two characters never meet inside a token, text can be cut without changing what becomes of
// it: a set of pairs of characters. Fill, Seal(), then ask, from any number of threads.
class CharacterPairs {
 public:
  void Add(char32_t left, char32_t right) {
    if (left < 128 && right < 128) {
      ascii_[(left * 128 + right) / 64] |= uint64_t{1} << right % 64;
    } else {
      others_.push_back(uint64_t{left} << 32 | right);
    }
  }
  void Seal() {
    std::sort(others_.begin(), others_.end());
    others_.erase(std::unique(others_.begin(), others_.end()), others_.end());
  }
  bool Contains(char32_t left, char32_t right) const {
    if (left < 128 && right < 128) return ascii_[(left * 128 + right) / 64] >> right % 64 & 1;
    return std::binary_search(others_.begin(), others_.end(), uint64_t{left} << 32 | right);
  }

 private:
  std::array<uint64_t, 128 * 128 / 64> ascii_{};
  std::vector<uint64_t> others_;  // sorted once sealed
};

}  // namespace extrospect
