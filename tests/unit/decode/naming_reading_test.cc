#include "decode/oracle/naming_reading.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace extrospect {
namespace {

constexpr int64_t kNothingClass = 1;

at::TensorOptions Doubles() { return at::TensorOptions(at::kDouble).device(at::kCPU); }

// Two feelings and, between them, nothing; rows are normally distributed around their class's mean,
// with unit covariance.
const at::Tensor& Means() {
  static const at::Tensor means =
      at::tensor({1.0, 1.5, 0.0, 0.5, 0.5, 0.0, 5.0, 0.0, 0.0}, Doubles()).view({3, 3});
  return means;
}

at::Tensor Calm() { return Means()[kNothingClass]; }

// The linear discriminant's.
at::Tensor Scores(const at::Tensor& rows) {
  return at::mm(rows, Means().t()) - Means().square().sum(1) / 2;
}

at::Tensor AnyStrength(const at::Tensor& rows) {
  return AnyStrengthScores(Scores(rows), Scores(Calm().unsqueeze(0)).squeeze(0), kNothingClass);
}

// The row of a class's feeling at a strength.
at::Tensor Faint(int64_t label, double strength) {
  return Calm() + (Means()[label] - Calm()) * strength;
}

TEST(AnyStrengthTest, IsTheMeanLikelihoodRatioOverStrengths) {
  const at::Tensor rows = at::tensor({0.2, 1.0, -0.3, 2.0, -1.0, 0.5, 6.0, 0.4, 0.0}, Doubles());
  const at::Tensor found = AnyStrength(rows.view({3, 3}));
  for (int64_t i = 0; i < 3; ++i) {
    const at::Tensor row = rows.narrow(0, 3 * i, 3);
    const double calm = -(row - Calm()).square().sum().item<double>() / 2;
    for (int64_t label = 0; label < 3; ++label) {
      double sum = 0;
      for (int k = 1; k <= 8; ++k) {
        sum += std::exp(-(row - Faint(label, k / 8.0)).square().sum().item<double>() / 2 - calm);
      }
      EXPECT_NEAR(found[i][label].item<double>(), std::log(sum / 8), 1e-9) << i << " " << label;
    }
  }
}

TEST(AnyStrengthTest, AFaintTraceOfAFarClassIsNamed) {
  const at::Tensor row = Faint(2, 0.35).unsqueeze(0);
  const auto names_the_far_one = [](const at::Tensor& scores) {
    return scores[0][2].item<double>() > scores[0][0].item<double>();
  };
  EXPECT_FALSE(names_the_far_one(Scores(row)));
  EXPECT_TRUE(names_the_far_one(AnyStrength(row)));
}

TEST(AnyStrengthTest, ScoresNeedNotBeNormalised) {
  const at::Tensor rows = at::tensor({0.2, 1.0, -0.3, 2.0, -1.0, 0.5}, Doubles()).view({2, 3});
  const at::Tensor scores = Scores(rows), calm = Scores(Calm().unsqueeze(0)).squeeze(0);
  const at::Tensor moved = scores + at::tensor({7.0, -3.0}, Doubles()).unsqueeze(1);
  EXPECT_TRUE(at::allclose(AnyStrengthScores(moved, calm + 2, kNothingClass),
                           AnyStrengthScores(scores, calm, kNothingClass), 1e-9, 1e-9));
}

}  // namespace
}  // namespace extrospect
