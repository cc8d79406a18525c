// Intervals and resampling: pure functions over numbers.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace extrospect {

// An estimate with its 95 % interval. NaN where there is nothing to estimate.
struct Estimate {
  double value = 0.0;
  double low = 0.0;
  double high = 0.0;
};

// A share of successes with Wilson's score interval (Wilson 1927), 95 %. NaN for n = 0.
Estimate WilsonInterval(int64_t successes, int64_t n);

// The quantile function of the standard normal distribution, to about 1e-15; p in (0, 1).
double NormalQuantile(double p);

double Mean(std::span<const double> values);  // NaN if empty
// Sample Pearson correlation; NaN with fewer than two values or without variance.
double Pearson(std::span<const double> x, std::span<const double> y);

// One observation of a paired difference, and the cluster it belongs to.
struct ClusteredValue {
  int64_t cluster = 0;  // 0 … n_clusters − 1
  double value = 0.0;
};

// The mean of the values with a percentile bootstrap interval (95 %) in which whole clusters are
// drawn with replacement: values of one cluster are not independent of each other. Draws come from
// the random stream (seed, stream). NaN if there are no values; a degenerate interval if all
// values lie in one cluster.
Estimate ClusterBootstrap(std::span<const ClusteredValue> values, int64_t resamples, uint64_t seed,
                          std::string_view stream);

// The p-quantile of sorted values, linear between neighbours.
double SortedQuantile(std::span<const double> sorted, double p);

}  // namespace extrospect
