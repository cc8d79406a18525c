#include "train/judge.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"

namespace extrospect {
namespace {

const auto kFloats = at::TensorOptions(at::kFloat).device(at::kCPU);
const auto kLongs = at::TensorOptions(at::kLong).device(at::kCPU);

Lexicon ThreeWords() {
  return Lexicon({{"glad", "joy", 0.8, 0.3, {"merry"}},
                  {"merry", "joy", 0.7, 0.4, {}},
                  {"sad", "sadness", -0.6, -0.3, {}}});  // and "nothing to report"
}

at::Tensor OneHot(const at::Tensor& label, int64_t classes) {
  return at::one_hot(label, classes).to(at::kFloat);
}

TEST(JudgeTest, CountsByHand) {
  // Rows: right, near miss, wrong but within five, right.
  const at::Tensor p = at::tensor({0.7f, 0.1f, 0.1f, 0.1f,  //
                                   0.6f, 0.2f, 0.1f, 0.1f,  //
                                   0.5f, 0.2f, 0.2f, 0.1f,  //
                                   0.1f, 0.1f, 0.1f, 0.7f},
                                  kFloats)
                           .reshape({4, 4});
  const at::Tensor label = at::tensor({0, 1, 2, 3}, kLongs);
  const Judgement judgement = Judge(ThreeWords(), p.log(), label, OneHot(label, 4));
  EXPECT_EQ(judgement.n, 4);
  EXPECT_DOUBLE_EQ(judgement.top1, 0.5);
  EXPECT_DOUBLE_EQ(judgement.near, 0.625);
  EXPECT_DOUBLE_EQ(judgement.top5, 1.0);
  EXPECT_NEAR(judgement.cross_entropy,
              -(std::log(0.7) + std::log(0.2) + std::log(0.2) + std::log(0.7)) / 4, 1e-6);
  EXPECT_DOUBLE_EQ(judgement.chance_top1, 0.25);
}

TEST(JudgeTest, MacroF1ByHand) {
  // Class 0: 2 hits of 3 labels and 3 guesses, 2/3. Class 1: 1 of 2 and 2, 1/2. Class 2: never
  // guessed, 0. Class 3 is guessed once but nobody's label: it does not count.
  const at::Tensor label = at::tensor({0, 0, 0, 1, 1, 2}, kLongs);
  const at::Tensor guess = at::tensor({0, 0, 1, 1, 3, 0}, kLongs);
  EXPECT_NEAR(MacroF1(label, guess, 5), (2.0 / 3 + 0.5 + 0.0) / 3, 1e-12);
  EXPECT_DOUBLE_EQ(MacroF1(label, label, 5), 1.0);
  EXPECT_DOUBLE_EQ(MacroF1(label.narrow(0, 0, 0), guess.narrow(0, 0, 0), 5), 0.0);
  // The guess is the likeliest class.
  const at::Tensor log_p = OneHot(at::tensor({0, 1, 0, 2}, kLongs), 4).add(0.1).log();
  const at::Tensor truth = at::tensor({0, 1, 1, 2}, kLongs);
  const Judgement judgement = Judge(ThreeWords(), log_p, truth, OneHot(truth, 4));
  EXPECT_NEAR(judgement.macro_f1, (2.0 / 3 + 2.0 / 3 + 1) / 3, 1e-12);
  EXPECT_EQ(judgement.ToJson().at("macro_f1"), judgement.macro_f1);
}

// Labels are drawn from the softmax of logits / 2.5, which is then the best temperature.
TEST(CalibrationTest, FindsTheTemperatureThatMadeTheLabels) {
  RandomStream random(1, "test");
  constexpr int64_t kRows = 4000, kClasses = 5;
  std::vector<float> logits;
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < kRows; ++i) {
    std::vector<double> weights;
    double sum = 0;
    for (int64_t c = 0; c < kClasses; ++c) {
      logits.push_back(static_cast<float>(5 * random.Normal()));
      weights.push_back(std::exp(logits.back() / 2.5));
      sum += weights.back();
    }
    double left = random.Uniform() * sum;
    int64_t c = 0;
    while (c + 1 < kClasses && left >= weights[c]) left -= weights[c++];
    labels.push_back(c);
  }
  const at::Tensor x = at::tensor(logits, kFloats).reshape({kRows, kClasses});
  const at::Tensor label = at::tensor(labels, kLongs);
  const double temperature = FitTemperature(x, OneHot(label, kClasses));
  EXPECT_NEAR(temperature, 2.5, 0.15);
  EXPECT_GT(CalibrationError(at::log_softmax(x, 1), label), 0.08);
  EXPECT_LT(CalibrationError(at::log_softmax(x / temperature, 1), label), 0.03);
}

TEST(CalibrationTest, ErrorByHand) {
  // Two rows of confidence 0.8, one right: |0.8 − 0.5|.
  const at::Tensor p = at::tensor({0.8f, 0.2f, 0.8f, 0.2f}, kFloats).reshape({2, 2});
  EXPECT_NEAR(CalibrationError(p.log(), at::tensor({0, 1}, kLongs)), 0.3, 1e-6);
}

TEST(AbstentionTest, KeepsFalseAlarmsWithinTheLimit) {
  // Class 0 is "nothing"; 20 neutral rows whose p(feeling) is 0.51 … 0.70, and felt ones at 0.69
  // and 0.9.
  std::vector<float> p;
  std::vector<int64_t> labels;
  for (int i = 0; i < 20; ++i) {
    const float feeling = 0.51f + 0.01f * static_cast<float>(i);
    p.insert(p.end(), {1 - feeling, feeling});
    labels.push_back(0);
  }
  for (const float feeling : {0.685f, 0.9f}) {
    p.insert(p.end(), {1 - feeling, feeling});
    labels.push_back(1);
  }
  const at::Tensor log_p = at::tensor(p, kFloats).reshape({22, 2}).log();
  const at::Tensor label = at::tensor(labels, kLongs);
  const Abstention some = FitAbstention(log_p, label, 0, 0.05);
  EXPECT_DOUBLE_EQ(some.false_alarms, 0.05);
  EXPECT_DOUBLE_EQ(some.hits, 0.5);
  EXPECT_GT(some.below, 0.69);
  EXPECT_LT(some.below, 0.70);
  EXPECT_DOUBLE_EQ(FitAbstention(log_p, label, 0, 0.0).false_alarms, 0.0);
  EXPECT_DOUBLE_EQ(FitAbstention(log_p, label, 0, 1.0).below, 0.0);
}

}  // namespace
}  // namespace extrospect
