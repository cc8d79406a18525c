#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace extrospect {
namespace {

TEST(RandomStreamTest, NamesGiveIndependentStreams) {
  RandomStream a(1, "train/shuffle"), b(1, "train/dropout"), again(1, "train/shuffle");
  const uint64_t first = a.Next();
  EXPECT_NE(first, b.Next());
  EXPECT_EQ(first, again.Next());
}

TEST(RandomStreamTest, NormalHasUnitMoments) {
  RandomStream random(3, "normal");
  double sum = 0, squares = 0;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const double x = random.Normal();
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / kDraws, 0.0, 0.02);
  EXPECT_NEAR(squares / kDraws, 1.0, 0.02);
}

TEST(RandomStreamTest, PermutationHoldsEveryIndexOnce) {
  auto order = RandomStream(5, "p").Permutation(100);
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  for (int64_t i = 0; i < 100; ++i) EXPECT_EQ(order[i], i);
}

}  // namespace
}  // namespace extrospect
