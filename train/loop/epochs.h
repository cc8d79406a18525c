// The order in which training rows are drawn.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"

namespace extrospect {

// Epochs over n rows, one after another: each is a permutation with a random stream of its own, so
// that the row at any place follows from the place alone. Keeps the latest epoch.
class Epochs {
 public:
  // The stream of epoch e is "<stream>/e".
  Epochs(uint64_t seed, std::string stream, int64_t n)
      : seed_(seed), stream_(std::move(stream)), n_(n) {}

  int64_t Row(int64_t place) {
    if (place / n_ != epoch_) {
      epoch_ = place / n_;
      order_ = RandomStream(seed_, stream_ + "/" + std::to_string(epoch_)).Permutation(n_);
    }
    return order_[static_cast<size_t>(place % n_)];
  }
  // The rows of a step that takes `size` of them.
  std::vector<int64_t> Step(int64_t step, int64_t size) {
    std::vector<int64_t> rows;
    for (int64_t place = step * size; place < (step + 1) * size; ++place) {
      rows.push_back(Row(place));
    }
    return rows;
  }

 private:
  uint64_t seed_;
  std::string stream_;
  int64_t n_, epoch_ = -1;
  std::vector<int64_t> order_;
};

}  // namespace extrospect
