#include "eval/figures/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>

#include "base/random.h"

namespace extrospect {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kZ95 = 1.959963984540054;  // NormalQuantile(0.975)

Estimate Wilson(double p, double n) {
  const double z2 = kZ95 * kZ95;
  const double center = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half = kZ95 / (1 + z2 / n) * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  // At the ends the formula gives 0 and 1 but for rounding.
  return {p, p == 0 ? 0.0 : std::max(0.0, center - half),
          p == 1 ? 1.0 : std::min(1.0, center + half)};
}

double MeanOf(std::span<const ClusteredValue> values) {
  double sum = 0;
  for (const ClusteredValue& value : values) sum += value.value;
  return sum / static_cast<double>(values.size());
}

// Sums of the values' distances from their mean, by cluster.
std::map<int64_t, double> Deviations(std::span<const ClusteredValue> values) {
  const double mean = MeanOf(values);
  std::map<int64_t, double> sums;
  for (const ClusteredValue& value : values) sums[value.cluster] += value.value - mean;
  return sums;
}

}  // namespace

Estimate WilsonInterval(int64_t successes, int64_t n) {
  if (n <= 0) return {kNaN, kNaN, kNaN};
  return Wilson(static_cast<double>(successes) / static_cast<double>(n), static_cast<double>(n));
}

double ClusteredVariance(std::span<const ClusteredValue> values) {
  const std::map<int64_t, double> deviations = Deviations(values);
  if (deviations.size() < 2) return 0.0;
  double squares = 0;
  for (const auto& [cluster, sum] : deviations) squares += sum * sum;
  const auto n = static_cast<double>(values.size()), m = static_cast<double>(deviations.size());
  return m / (m - 1) * squares / (n * n);
}

Estimate ClusteredShare(std::span<const ClusteredValue> values) {
  if (values.empty()) return {kNaN, kNaN, kNaN};
  const double p = MeanOf(values);
  const auto n = static_cast<double>(values.size());
  const auto m = static_cast<double>(Deviations(values).size());
  if (m == n) return Wilson(p, n);
  if (p == 0 || p == 1 || m < 2) return Wilson(p, m);
  const double effect = ClusteredVariance(values) / (p * (1 - p) / n);
  return Wilson(p, n / std::max(1.0, effect));
}

Estimate ClusteredMean(std::span<const ClusteredValue> values) {
  if (values.empty()) return {kNaN, kNaN, kNaN};
  const double mean = MeanOf(values), half = kZ95 * std::sqrt(ClusteredVariance(values));
  return {mean, mean - half, mean + half};
}

double NormalQuantile(double p) {
  // Bisection for a start, then Newton's method on the distribution function.
  double low = -40, high = 40;
  const auto cdf = [](double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); };
  for (int i = 0; i < 40; ++i) {
    const double middle = (low + high) / 2;
    (cdf(middle) < p ? low : high) = middle;
  }
  double x = (low + high) / 2;
  for (int i = 0; i < 3; ++i) {
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
    if (density < 1e-300) break;
    x -= (cdf(x) - p) / density;
  }
  return x;
}

double Mean(std::span<const double> values) {
  if (values.empty()) return kNaN;
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double Pearson(std::span<const double> x, std::span<const double> y) {
  if (x.size() < 2 || x.size() != y.size()) return kNaN;
  const double mean_x = Mean(x), mean_y = Mean(y);
  double xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mean_x) * (y[i] - mean_y);
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
  }
  // Rounding alone can leave a constant with a variance of this size.
  const double floor = 1e-24 * static_cast<double>(x.size());
  return xx <= floor || yy <= floor ? kNaN : xy / std::sqrt(xx * yy);
}

double SortedQuantile(std::span<const double> sorted, double p) {
  if (sorted.empty()) return kNaN;
  const double place = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double part = place - static_cast<double>(below);
  return sorted[below] + part * (sorted[above] - sorted[below]);
}

Estimate ClusterBootstrap(std::span<const ClusteredValue> values, int64_t resamples, uint64_t seed,
                          std::string_view stream) {
  if (values.empty()) return {kNaN, kNaN, kNaN};
  int64_t n_clusters = 0;
  for (const ClusteredValue& value : values) n_clusters = std::max(n_clusters, value.cluster + 1);
  std::vector<double> sums(n_clusters), counts(n_clusters);
  double sum = 0;
  for (const ClusteredValue& value : values) {
    sums[value.cluster] += value.value;
    counts[value.cluster] += 1;
    sum += value.value;
  }
  RandomStream random(seed, stream);
  std::vector<double> means;
  means.reserve(resamples);
  for (int64_t i = 0; i < resamples; ++i) {
    double drawn_sum = 0, drawn_count = 0;
    for (int64_t k = 0; k < n_clusters; ++k) {
      const uint64_t cluster = random.Below(static_cast<uint64_t>(n_clusters));
      drawn_sum += sums[cluster];
      drawn_count += counts[cluster];
    }
    if (drawn_count > 0) means.push_back(drawn_sum / drawn_count);
  }
  std::sort(means.begin(), means.end());
  return {sum / static_cast<double>(values.size()), SortedQuantile(means, 0.025),
          SortedQuantile(means, 0.975)};
}

}  // namespace extrospect
