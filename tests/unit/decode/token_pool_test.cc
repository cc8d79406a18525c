#include "decode/token_pool.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace extrospect {
namespace {

at::TensorOptions Floats() { return at::TensorOptions(at::kFloat).device(at::kCPU); }

// Three tokens, two hooks of width 1.
at::Tensor Tokens() {
  return at::tensor({1.0f, 10.0f, 2.0f, 20.0f, 4.0f, 60.0f}, Floats()).reshape({3, 2, 1});
}

TEST(TokenPoolTest, IsTheMeanByDefault) {
  const TokenPool pool;
  EXPECT_FALSE(pool.attends());
  EXPECT_STREQ(pool.name(), "mean");
  EXPECT_TRUE(at::allclose(pool(Tokens()).flatten(), at::tensor({7.0f / 3, 30.0f}, Floats())));
}

TEST(TokenPoolTest, WeighsTokensByTheQueryOverAllHooks) {
  const TokenPool pool(at::tensor({1.0f, -0.1f}, Floats()).reshape({2, 1}));
  EXPECT_STREQ(pool.name(), "attention");
  // Scores 1 − 1, 2 − 2 and 4 − 6.
  const double weights[] = {1.0, 1.0, std::exp(-2.0)};
  const double sum = weights[0] + weights[1] + weights[2];
  const at::Tensor expected =
      at::tensor({(1 + 2 + 4 * weights[2]) / sum, (10 + 20 + 60 * weights[2]) / sum}, Floats());
  EXPECT_TRUE(at::allclose(pool(Tokens()).flatten(), expected));
}

TEST(TokenPoolTest, AQueryOfZerosIsTheMeanAndOneTokenIsItself) {
  const TokenPool mean, zero(at::zeros({2, 1}, Floats())), other(at::ones({2, 1}, Floats()));
  EXPECT_TRUE(at::allclose(zero(Tokens()), mean(Tokens())));
  EXPECT_TRUE(at::allclose(other(Tokens().narrow(0, 1, 1)), Tokens()[1]));
}

TEST(TokenPoolTest, LargeScoresDoNotOverflow) {
  const TokenPool pool(at::full({2, 1}, 1e4f, Floats()));
  EXPECT_TRUE(at::allclose(pool(Tokens()), Tokens()[2]));
}

TEST(TokenPoolTest, RunningPoolsStayWithinTheTranscript) {
  const at::Tensor rows = at::tensor({1.0f, 2.0f, 4.0f, 10.0f, 20.0f}, Floats()).reshape({5, 1, 1});
  const std::vector<uint32_t> transcript = {0, 0, 0, 1, 1};
  const at::Tensor means = at::tensor({1.0f, 1.5f, 3.0f, 10.0f, 15.0f}, Floats());
  EXPECT_TRUE(at::allclose(TokenPool().Running(rows, transcript, 2).flatten(), means));
  const TokenPool zero(at::zeros({1, 1}, Floats())), sharp(at::full({1, 1}, 50.0f, Floats()));
  EXPECT_TRUE(at::allclose(zero.Running(rows, transcript, 2).flatten(), means));
  EXPECT_TRUE(at::allclose(sharp.Running(rows, transcript, 2), rows));
  EXPECT_TRUE(at::allclose(sharp.Running(rows, transcript, 1), rows));
}

}  // namespace
}  // namespace extrospect
