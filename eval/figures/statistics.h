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

// One observation, and the cluster it belongs to.
struct ClusteredValue {
  int64_t cluster = 0;  // 0 … n_clusters − 1
  double value = 0.0;
};

// A share of successes (values 0 and 1) whose trials come in clusters: Wilson's interval at the
// effective number of trials, n / (clustered variance / binomial variance), and never more than n
// (Korn & Graubard 1998). Where all trials agree, the clusters count as trials. WilsonInterval
// where every trial is a cluster of its own. NaN if there are no values.
Estimate ClusteredShare(std::span<const ClusteredValue> values);

// The mean of the values, 95 % by the normal distribution, with the variance between clusters; no
// width if there is but one. NaN if there are no values.
Estimate ClusteredMean(std::span<const ClusteredValue> values);

// Of the mean over all values: m / (m − 1) · Σ over the m clusters (Σ value − mean)² / n². 0 for
// fewer than two clusters.
double ClusteredVariance(std::span<const ClusteredValue> values);

// The mean of the values with a percentile bootstrap interval (95 %) in which whole clusters are
// drawn with replacement: values of one cluster are not independent of each other. Draws come from
// the random stream (seed, stream). NaN if there are no values; a degenerate interval if all
// values lie in one cluster.
Estimate ClusterBootstrap(std::span<const ClusteredValue> values, int64_t resamples, uint64_t seed,
                          std::string_view stream);

// The p-quantile of sorted values, linear between neighbours.
double SortedQuantile(std::span<const double> sorted, double p);

}  // namespace extrospect
