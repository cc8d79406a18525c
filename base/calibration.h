// Whether a reader is right as often as it is sure.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace extrospect {

// Expected calibration error: the mean distance between confidence and accuracy over `bins` equal
// bins of confidence, weighted by their counts (Guo et al. 2017).
struct CalibrationBin {
  int64_t n = 0;
  double confidence = 0.0;  // mean; 0 if empty
  double accuracy = 0.0;
  double variance = 0.0;  // Σ p (1 − p): of how many are right, if calibrated
};
std::vector<CalibrationBin> CalibrationBins(std::span<const double> confidence,
                                            const std::vector<bool>& correct, int bins = 15);
double ExpectedCalibrationError(std::span<const CalibrationBin> bins);

// What a perfectly calibrated reader with these confidences would show on average, by chance alone:
// no bin of few readings is right just as often as it is sure. The mean distance of a normal
// variable from its mean, √(2/π) of its deviation, bin by bin.
double CalibrationErrorByChance(std::span<const CalibrationBin> bins);

// The temperature, within [0.05, 20], at which `loss` is least: the cross-entropy of scores that
// were divided by it, which has one minimum (temperature scaling; Guo et al. 2017).
double BestTemperature(const std::function<double(double temperature)>& loss);

}  // namespace extrospect
