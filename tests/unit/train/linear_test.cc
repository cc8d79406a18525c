#include "train/linear/linear.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"
#include "train/linear/standardise.h"

namespace extrospect {
namespace {

const auto kFloats = at::TensorOptions(at::kFloat).device(at::kCPU);

// Gaussian classes that differ along the second axis only, while the first, along which they vary
// ten times as much, says nothing.
struct Synthetic {
  at::Tensor x, targets, label;
};

Synthetic MakeClasses(const std::vector<int64_t>& counts, const std::vector<float>& centres) {
  RandomStream random(3, "test");
  std::vector<float> x;
  std::vector<int64_t> label;
  for (size_t c = 0; c < counts.size(); ++c) {
    for (int64_t i = 0; i < counts[c]; ++i) {
      x.push_back(static_cast<float>(10 * random.Normal()));
      x.push_back(static_cast<float>(centres[c] + random.Normal()));
      label.push_back(static_cast<int64_t>(c));
    }
  }
  Synthetic data;
  data.label = at::tensor(label, at::TensorOptions(at::kLong).device(at::kCPU));
  data.x = at::tensor(x, kFloats).reshape({data.label.size(0), 2});
  data.targets = at::one_hot(data.label, static_cast<int64_t>(counts.size())).to(at::kFloat);
  return data;
}

Lexicon Words() {
  return Lexicon({{"low", "a", -0.5, 0, {"lower"}},
                  {"high", "b", 0.5, 0, {}},
                  {"lower", "a", -0.6, 0, {}}});  // and "nothing to report"
}

TEST(DiscriminantAnalysisTest, FindsTheBayesDirection) {
  const Synthetic data = MakeClasses({400, 400, 400}, {-3, 3, 0});
  const Lexicon lexicon({{"low", "a", -0.5, 0, {}}, {"high", "b", 0.5, 0, {}}});
  const LinearMap map = DiscriminantAnalysis(lexicon, data.x, data.targets).Solve(1e-6, 0);
  const at::Tensor right = map(data.x).argmax(1) == data.label;
  // Equal variances: the borders lie at ±1.5, which leaves Φ(1.5) and 2 Φ(1.5) − 1.
  EXPECT_NEAR(right.to(at::kFloat).mean().item<double>(), (2 * 0.9332 + 0.8664) / 3, 0.03);
  // Σ⁻¹ (m_high − m_low) = (0, 6).
  const at::Tensor direction = map.weight[1] - map.weight[0];
  EXPECT_NEAR(direction[0].item<double>(), 0.0, 0.05);
  EXPECT_NEAR(direction[1].item<double>(), 6.0, 0.5);
}

TEST(DiscriminantAnalysisTest, AWordWithoutExamplesStandsByItsNeighbours) {
  const Synthetic data = MakeClasses({400, 400, 0, 400}, {-3, 3, 0, 0});
  const LinearMap map = DiscriminantAnalysis(Words(), data.x, data.targets).Solve(1e-6, 5);
  const at::Tensor far_low = at::tensor({0.0f, -6.0f}, kFloats).reshape({1, 2});
  const at::Tensor scores = map(far_low)[0];
  EXPECT_GT(scores[2].item<float>(), scores[1].item<float>());
  EXPECT_GT(scores[2].item<float>(), scores[3].item<float>());
}

TEST(DiscriminantAnalysisTest, DiscriminantsWhitenWithinClasses) {
  const Synthetic data = MakeClasses({500, 500, 0, 500}, {-3, 3, 0, 0});
  const at::Tensor project =
      DiscriminantAnalysis(Words(), data.x, data.targets).Discriminants(1e-6, 0, 2);
  ASSERT_EQ(project.sizes(), (std::vector<int64_t>{2, 2}));
  const at::Tensor z = at::mm(data.x, project.t()).narrow(0, 0, 500);  // one class
  EXPECT_NEAR(z.select(1, 0).std().item<double>(), 1.0, 0.1);
  EXPECT_NEAR(z.select(1, 1).std().item<double>(), 1.0, 0.1);
  // The first coordinate is the one that separates.
  EXPECT_GT(project[0][1].abs().item<double>(), 20 * project[0][0].abs().item<double>());
}

TEST(NeighbourWeightsTest, NothingStandsAlone) {
  const Lexicon lexicon = Words();
  const at::Tensor weights =
      NeighbourWeights(lexicon, at::tensor({10.0, 10.0, 0.0, 50.0}, kFloats));
  EXPECT_EQ(weights[3].abs().sum().item<double>(), 0.0);
  EXPECT_EQ(weights.select(1, 3).abs().sum().item<double>(), 0.0);
  EXPECT_NEAR(weights[2].sum().item<double>(), 1.0, 1e-9);
  EXPECT_GT(weights[2][0].item<double>(), weights[2][1].item<double>());
}

TEST(RidgeRegressionTest, RecoversALine) {
  RandomStream random(5, "test");
  std::vector<float> x, y;
  for (int i = 0; i < 200; ++i) {
    const auto a = static_cast<float>(random.Normal()), b = static_cast<float>(random.Normal());
    x.insert(x.end(), {a, b});
    y.push_back(2 * a - b + 3);
  }
  const LinearMap map = RidgeRegression(at::tensor(x, kFloats).reshape({200, 2}),
                                        at::tensor(y, kFloats).reshape({200, 1}), 1e-9);
  EXPECT_NEAR(map.weight[0][0].item<double>(), 2, 1e-4);
  EXPECT_NEAR(map.weight[0][1].item<double>(), -1, 1e-4);
  EXPECT_NEAR(map.bias[0].item<double>(), 3, 1e-4);
}

TEST(StandardiserTest, AConstantFeatureIsNotBlownUp) {
  const at::Tensor x = at::tensor({1.0f, 5.0f, 3.0f, 5.0f}, kFloats).reshape({2, 2});
  const at::Tensor z = Standardiser(x)(x);
  EXPECT_NEAR(z[0][0].item<double>(), -1, 1e-6);
  EXPECT_EQ(z[0][1].item<double>(), 0);
  EXPECT_TRUE(at::isfinite(z).all().item<bool>());
}

}  // namespace
}  // namespace extrospect
