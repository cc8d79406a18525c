// Expected numbers come from scipy and scikit-learn, or were worked out by hand.
#include "eval/figures/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"
#include "eval/figures/metrics.h"

namespace extrospect {
namespace {

TEST(WilsonInterval, AgreesWithScipy) {
  const Estimate share = WilsonInterval(7, 20);
  EXPECT_NEAR(share.value, 0.35, 1e-12);
  EXPECT_NEAR(share.low, 0.1811918241010821, 1e-12);
  EXPECT_NEAR(share.high, 0.5671457233147637, 1e-12);
  EXPECT_NEAR(WilsonInterval(30, 725).high, 0.05845646744024399, 1e-12);
  EXPECT_EQ(WilsonInterval(0, 10).low, 0.0);
  EXPECT_NEAR(WilsonInterval(0, 10).high, 0.27753279986288926, 1e-12);
  EXPECT_EQ(WilsonInterval(10, 10).high, 1.0);
  EXPECT_TRUE(std::isnan(WilsonInterval(0, 0).value));
}

TEST(NormalQuantile, AgreesWithScipy) {
  EXPECT_NEAR(NormalQuantile(0.975), 1.959963984540054, 1e-12);
  EXPECT_NEAR(NormalQuantile(0.001), -3.090232306167813, 1e-11);
  EXPECT_NEAR(NormalQuantile(0.3), -0.5244005127080409, 1e-12);
  EXPECT_NEAR(NormalQuantile(1e-9), -5.9978070150076865, 1e-8);
}

TEST(Pearson, AgreesWithScipyAndNeedsVariance) {
  const std::vector<double> x = {1, 2, 3, 4, 7}, y = {2, 1, 4, 3, 9}, flat = {2, 2, 2, 2, 2};
  EXPECT_NEAR(Pearson(x, y), 0.9204922441828913, 1e-12);
  EXPECT_TRUE(std::isnan(Pearson(x, flat)));
}

TEST(ClusterBootstrap, DrawsWholeClusters) {
  // Two clusters without variance inside: a resample has mean 0, 0.5 or 1, and nothing between.
  std::vector<ClusteredValue> values;
  for (int i = 0; i < 50; ++i) values.push_back({0, 0.0});
  for (int i = 0; i < 50; ++i) values.push_back({1, 1.0});
  const Estimate wide = ClusterBootstrap(values, 2000, 1, "test");
  EXPECT_EQ(wide.value, 0.5);
  EXPECT_EQ(wide.low, 0.0);
  EXPECT_EQ(wide.high, 1.0);
  // Each value a cluster of its own: the interval is that of a binomial share.
  for (size_t i = 0; i < values.size(); ++i) values[i].cluster = static_cast<int64_t>(i);
  const Estimate narrow = ClusterBootstrap(values, 4000, 1, "test");
  EXPECT_NEAR(narrow.low, 0.40, 0.015);
  EXPECT_NEAR(narrow.high, 0.60, 0.015);
}

TEST(ClusterBootstrap, IsTheSameForTheSameStream) {
  const std::vector<ClusteredValue> values = {{0, 0.1}, {1, 0.7}, {2, 0.4}, {3, 0.9}};
  const Estimate a = ClusterBootstrap(values, 500, 7, "one");
  EXPECT_EQ(a.low, ClusterBootstrap(values, 500, 7, "one").low);
  EXPECT_TRUE(std::isnan(ClusterBootstrap({}, 10, 7, "one").value));
}

TEST(DPrime, HasTheLogLinearCorrection) {
  EXPECT_NEAR(DPrime(8, 10, 1, 20), 2.213092387448825, 1e-10);
  EXPECT_NEAR(DPrime(5, 10, 5, 10), 0.0, 1e-12);
  EXPECT_TRUE(std::isfinite(DPrime(10, 10, 0, 10)));
  EXPECT_TRUE(std::isnan(DPrime(1, 1, 0, 0)));
}

// Each value a cluster of its own.
std::vector<ClusteredValue> Apart(const std::vector<double>& values) {
  std::vector<ClusteredValue> result;
  for (const double value : values) {
    result.push_back({static_cast<int64_t>(result.size()), value});
  }
  return result;
}

TEST(Auroc, CountsTiesHalf) {
  const std::vector<double> signal = {.9, .8, .4, .4, .7}, noise = {.1, .4, .5, .2};
  EXPECT_NEAR(Auroc(Apart(signal), noise).value, 0.85, 1e-12);
  EXPECT_NEAR(Auroc(Apart(signal), signal).value, 0.5, 1e-12);
  const std::vector<double> high = {2, 3}, low = {0, 1};
  EXPECT_EQ(Auroc(Apart(high), low).value, 1.0);
  EXPECT_EQ(Auroc(Apart(low), high).value, 0.0);
}

TEST(Auroc, HasDeLongsInterval) {
  // The signals are above 2/3 and 1 of the noise, the noise below 1, 1 and 1/2 of the signals: each
  // of the two means has a variance of 1/36.
  const Estimate area = Auroc(Apart({2, 5}), std::vector<double>{1, 1, 3});
  EXPECT_NEAR(area.value, 5.0 / 6, 1e-12);
  const double half = 1.959963984540054 * std::sqrt(1.0 / 36 + 1.0 / 36);
  EXPECT_NEAR(area.low, 5.0 / 6 - half, 1e-12);
  EXPECT_EQ(area.high, 1.0);
  // The same signals twice, each pair one cluster, say no more than once.
  std::vector<ClusteredValue> twice = {{0, 2}, {0, 2}, {1, 5}, {1, 5}};
  EXPECT_NEAR(Auroc(twice, std::vector<double>{1, 1, 3}).low, area.low, 1e-12);
}

TEST(ClusteredShare, IsWilsonsForTrialsApartAndForEqualOnesTogether) {
  std::vector<double> once;
  std::vector<ClusteredValue> five_times;
  for (int i = 0; i < 20; ++i) {
    once.push_back(i < 7);
    for (int k = 0; k < 5; ++k) five_times.push_back({i, once.back()});
  }
  const Estimate apart = ClusteredShare(Apart(once)), together = ClusteredShare(five_times);
  EXPECT_EQ(apart.low, WilsonInterval(7, 20).low);
  EXPECT_EQ(together.value, apart.value);
  // Five times the same is once; the variance between 20 clusters has 19 degrees of freedom.
  EXPECT_NEAR(together.low, 0.17800323104934063, 1e-12);
  EXPECT_NEAR(together.high, 0.5724505361664443, 1e-12);
  for (ClusteredValue& value : five_times) value.value = 0;
  EXPECT_EQ(ClusteredShare(five_times).high, WilsonInterval(0, 20).high);
  EXPECT_TRUE(std::isnan(ClusteredShare({}).value));
}

TEST(ClusteredMean, HasTheStandardErrorOfTheClusters) {
  const Estimate mean = ClusteredMean(Apart({1, 2, 6}));
  EXPECT_EQ(mean.value, 3.0);
  EXPECT_NEAR(mean.high - 3, 1.959963984540054 * std::sqrt(7.0 / 3), 1e-12);
  EXPECT_EQ(ClusteredMean(std::vector<ClusteredValue>{{0, 1}, {0, 3}}).low, 2.0);
}

TEST(MacroF1, AgreesWithScikitLearn) {
  const std::vector<std::string> truth = {"a", "a", "b", "b", "c", "c", "d", "d"};
  const std::vector<std::string> guess = {"a", "b", "b", "b", "c", "a", "d", "c"};
  EXPECT_NEAR(MacroF1(truth, guess), 0.6166666666666667, 1e-12);
  // A class that is only guessed does not count.
  const std::vector<std::string> other = {"a", "a", "c"}, right = {"a", "a", "b"};
  EXPECT_NEAR(MacroF1(right, other), 0.5, 1e-12);
}

TEST(InformationBits, PlugInAgreesAndBiasIsTakenOff) {
  const std::vector<std::string> truth = {"a", "a", "b", "b", "c", "c", "d", "d"};
  const std::vector<std::string> guess = {"a", "b", "b", "b", "c", "a", "d", "c"};
  EXPECT_NEAR(InformationBits(truth, guess, 10, 0, "t").plug_in, 1.1556390622295665, 1e-9);
  // Independent of each other: the plug-in estimate is far from nothing, the corrected one is not.
  RandomStream random(4, "unrelated");
  std::vector<std::string> many, unrelated;
  for (int i = 0; i < 200; ++i) {
    many.push_back(std::to_string(i % 50));
    unrelated.push_back(std::to_string(random.Below(40)));
  }
  const MutualInformation information = InformationBits(many, unrelated, 50, 0, "t");
  EXPECT_GT(information.plug_in, 2.0);
  EXPECT_LT(information.bits, 0.5);
}

TEST(MidRank, CountsTiesAtTheirMiddle) {
  const std::vector<double> scores = {3, 1, 2, 2};
  EXPECT_EQ(MidRank(scores, 0), 1.0);
  EXPECT_EQ(MidRank(scores, 2), 2.5);
  EXPECT_EQ(MidRank(scores, 1), 4.0);
}

}  // namespace
}  // namespace extrospect
