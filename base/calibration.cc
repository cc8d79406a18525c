#include "base/calibration.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace extrospect {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

}  // namespace

std::vector<CalibrationBin> CalibrationBins(std::span<const double> confidence,
                                            const std::vector<bool>& correct, int bins) {
  std::vector<CalibrationBin> result(bins);
  for (size_t i = 0; i < confidence.size(); ++i) {
    const int index = std::clamp(static_cast<int>(confidence[i] * bins), 0, bins - 1);
    CalibrationBin& bin = result[index];
    ++bin.n;
    bin.confidence += confidence[i];
    bin.accuracy += correct[i] ? 1 : 0;
    bin.variance += confidence[i] * (1 - confidence[i]);
  }
  for (CalibrationBin& bin : result) {
    if (bin.n == 0) continue;
    bin.confidence /= static_cast<double>(bin.n);
    bin.accuracy /= static_cast<double>(bin.n);
  }
  return result;
}

double ExpectedCalibrationError(std::span<const CalibrationBin> bins) {
  double sum = 0, n = 0;
  for (const CalibrationBin& bin : bins) {
    sum += static_cast<double>(bin.n) * std::abs(bin.confidence - bin.accuracy);
    n += static_cast<double>(bin.n);
  }
  return n == 0 ? kNaN : sum / n;
}

double CalibrationErrorByChance(std::span<const CalibrationBin> bins) {
  double sum = 0, n = 0;
  for (const CalibrationBin& bin : bins) {
    sum += std::sqrt(2 * std::max(0.0, bin.variance) / std::numbers::pi);
    n += static_cast<double>(bin.n);
  }
  return n == 0 ? kNaN : sum / n;
}

double BestTemperature(const std::function<double(double temperature)>& loss) {
  // Golden-section search over the logarithm, to one part in 10⁴.
  const double ratio = (std::sqrt(5.0) - 1) / 2;
  double low = std::log(0.05), high = std::log(20.0);
  double a = high - ratio * (high - low), b = low + ratio * (high - low);
  double loss_a = loss(std::exp(a)), loss_b = loss(std::exp(b));
  while (high - low > 1e-4) {
    if (loss_a < loss_b) {
      high = b, b = a, loss_b = loss_a;
      a = high - ratio * (high - low), loss_a = loss(std::exp(a));
    } else {
      low = a, a = b, loss_a = loss_b;
      b = low + ratio * (high - low), loss_b = loss(std::exp(b));
    }
  }
  return std::exp((low + high) / 2);
}

}  // namespace extrospect
