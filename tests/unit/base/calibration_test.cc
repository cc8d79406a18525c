#include "base/calibration.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"

namespace extrospect {
namespace {

TEST(Calibration, EceByHand) {
  // Bin 9 (0.6 … 0.667): confidence 0.62, right half the time. Bin 14: 1.0, right.
  const std::vector<double> confidence = {0.62, 0.62, 1.0, 1.0};
  const auto bins = CalibrationBins(confidence, {true, false, true, true});
  EXPECT_EQ(bins[9].n, 2);
  EXPECT_EQ(bins[14].n, 2);
  EXPECT_NEAR(ExpectedCalibrationError(bins), 0.5 * 0.12, 1e-12);
}

TEST(Calibration, ErrorByChanceIsThatOfCalibratedReaders) {
  RandomStream random(0, "calibration");
  std::vector<double> confidence;
  for (int i = 0; i < 500; ++i) confidence.push_back(random.Uniform());
  double sum = 0, by_chance = 0;
  for (int reader = 0; reader < 200; ++reader) {
    std::vector<bool> correct;
    for (const double p : confidence) correct.push_back(random.Uniform() < p);
    const auto bins = CalibrationBins(confidence, correct);
    sum += ExpectedCalibrationError(bins);
    by_chance = CalibrationErrorByChance(bins);
  }
  EXPECT_NEAR(by_chance, sum / 200, 0.002);
}

TEST(Calibration, BestTemperatureIsWhereTheLossIsLeast) {
  for (const double wanted : {0.06, 0.7, 1.0, 3.25, 19.0}) {
    const auto loss = [&](double t) { return std::pow(std::log(t / wanted), 2); };
    EXPECT_NEAR(BestTemperature(loss), wanted, 1e-4 * wanted);
  }
  // Beyond the range, its end.
  EXPECT_NEAR(BestTemperature([](double t) { return t; }), 0.05, 1e-5);
  EXPECT_NEAR(BestTemperature([](double t) { return -t; }), 20, 2e-3);
}

}  // namespace
}  // namespace extrospect
