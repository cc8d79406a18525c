#include "train/loop/adamw.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

namespace extrospect {
namespace {

at::Tensor Leaf(const std::vector<float>& values) {
  return at::tensor(values, at::TensorOptions(at::kFloat).device(at::kCPU)).requires_grad_(true);
}

// A loss whose gradient is `gradient`.
void Backward(const at::Tensor& parameter, const std::vector<float>& gradient) {
  (parameter * at::tensor(gradient, at::TensorOptions(at::kFloat).device(at::kCPU)))
      .sum()
      .backward();
}

// Numbers by torch.optim.AdamW and clip_grad_norm_, see tools/fixtures/make_adamw.py.
TEST(AdamWTest, AgreesWithTorch) {
  const auto fixture =
      nlohmann::json::parse(std::ifstream("tests/parity/fixtures/train/adamw.json"));
  AdamWOptions options;
  options.learning_rate = fixture["options"]["learning_rate"];
  options.weight_decay = fixture["options"]["weight_decay"];
  options.beta1 = fixture["options"]["beta1"];
  options.beta2 = fixture["options"]["beta2"];
  options.epsilon = fixture["options"]["epsilon"];
  options.clip_norm = fixture["clip_norm"];
  const at::Tensor x = Leaf(fixture["start"].get<std::vector<float>>());
  AdamW optimiser({{"x", x}}, options);
  for (size_t step = 0; step < fixture["gradients"].size(); ++step) {
    Backward(x, fixture["gradients"][step].get<std::vector<float>>());
    ASSERT_TRUE(optimiser.Step(1.0));
    const auto expected = fixture["values"][step].get<std::vector<float>>();
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(x.detach()[static_cast<int64_t>(i)].item<float>(), expected[i], 2e-6)
          << "step " << step << ", element " << i;
    }
  }
}

TEST(AdamWTest, StepsThatAreNotFiniteAreSkipped) {
  const at::Tensor x = Leaf({1, 2});
  AdamW optimiser({{"x", x}}, AdamWOptions());
  Backward(x, {std::numeric_limits<float>::quiet_NaN(), 1});
  EXPECT_FALSE(optimiser.Step(1.0));
  EXPECT_EQ(optimiser.skipped(), 1);
  EXPECT_EQ(optimiser.steps(), 0);
  EXPECT_EQ(x.detach()[0].item<float>(), 1.0f);
  EXPECT_FALSE(x.grad().defined());
  Backward(x, {1, 1});
  EXPECT_TRUE(optimiser.Step(1.0));
  EXPECT_LT(x.detach()[0].item<float>(), 1.0f);
}

TEST(AdamWTest, RestoredStateContinuesBitForBit) {
  const at::Tensor a = Leaf({1, 2, 3});
  AdamWOptions options;
  options.weight_decay = 0.1;
  AdamW first({{"x", a}}, options);
  for (int i = 0; i < 3; ++i) {
    Backward(a, {1.0f * i, -2, 0.5});
    first.Step(1.0);
  }
  const at::Tensor b = a.detach().clone().requires_grad_(true);
  AdamW second({{"x", b}}, options);
  second.Restore(first.State(), first.steps(), first.skipped());
  for (int i = 0; i < 3; ++i) {
    Backward(a, {0.3f, 1, 2.0f * i});
    Backward(b, {0.3f, 1, 2.0f * i});
    first.Step(0.5);
    second.Step(0.5);
  }
  EXPECT_TRUE(at::equal(a.detach(), b.detach()));
}

TEST(AdamWTest, LearningRateRisesAndFalls) {
  EXPECT_DOUBLE_EQ(LearningRateFactor(Schedule::kCosine, 0, 100, 10), 0.1);
  EXPECT_DOUBLE_EQ(LearningRateFactor(Schedule::kCosine, 9, 100, 10), 1.0);
  EXPECT_DOUBLE_EQ(LearningRateFactor(Schedule::kCosine, 55, 100, 10), 0.5);
  EXPECT_NEAR(LearningRateFactor(Schedule::kCosine, 100, 100, 10), 0.0, 1e-12);
  EXPECT_DOUBLE_EQ(LearningRateFactor(Schedule::kLinear, 55, 100, 10), 0.5);
  EXPECT_DOUBLE_EQ(LearningRateFactor(Schedule::kConstant, 99, 100, 0), 1.0);
}

}  // namespace
}  // namespace extrospect
