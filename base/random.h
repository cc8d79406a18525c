// Random streams that are derived by name, so that adding one never shifts another.
#pragma once

#include <cstdint>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace extrospect {

// A small, fast generator (SplitMix64; Steele, Lea & Flood 2014) whose start is a hash of the run's
// seed and the stream's name. The same on every platform, unlike the distributions of <random>.
// Streams are named by what they are drawn for, the step of a training included: an exact resume
// has none to store.
class RandomStream {
 public:
  RandomStream(uint64_t seed, std::string_view name);

  uint64_t Next();
  // Uniform in [0, 1), with 53 random bits.
  double Uniform();
  // Uniform in {0, …, n − 1}; n > 0.
  uint64_t Below(uint64_t n);
  // Standard normal.
  double Normal();
  // A random permutation of 0, …, n − 1.
  std::vector<int64_t> Permutation(int64_t n);

 private:
  uint64_t state_;
};

}  // namespace extrospect
