#include "eval/figures/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "base/random.h"

namespace extrospect {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Numbers for names, in order of first occurrence.
std::vector<int64_t> Indices(std::span<const std::string> names,
                             std::map<std::string, int64_t>& known) {
  std::vector<int64_t> indices;
  for (const std::string& name : names) {
    indices.push_back(known.emplace(name, static_cast<int64_t>(known.size())).first->second);
  }
  return indices;
}

double PlugInBits(std::span<const int64_t> truth, std::span<const int64_t> guess) {
  std::map<std::pair<int64_t, int64_t>, double> joint;
  std::map<int64_t, double> p_truth, p_guess;
  for (size_t i = 0; i < truth.size(); ++i) {
    joint[{truth[i], guess[i]}] += 1;
    p_truth[truth[i]] += 1;
    p_guess[guess[i]] += 1;
  }
  const auto n = static_cast<double>(truth.size());
  double bits = 0;
  for (const auto& [pair, count] : joint) {
    bits += count / n * std::log2(count * n / (p_truth[pair.first] * p_guess[pair.second]));
  }
  return bits;
}

}  // namespace

double DPrime(int64_t hits, int64_t n_signal, int64_t false_alarms, int64_t n_noise) {
  if (n_signal == 0 || n_noise == 0) return kNaN;
  const auto rate = [](int64_t count, int64_t n) {
    return (static_cast<double>(count) + 0.5) / (static_cast<double>(n) + 1.0);
  };
  return NormalQuantile(rate(hits, n_signal)) - NormalQuantile(rate(false_alarms, n_noise));
}

Estimate Auroc(std::span<const ClusteredValue> signal, std::span<const double> noise) {
  if (signal.empty() || noise.empty()) return {kNaN, kNaN, kNaN};
  // The share of `sorted` that lies below a score.
  const auto below = [](const std::vector<double>& sorted, double score) {
    const auto [first, last] = std::equal_range(sorted.begin(), sorted.end(), score);
    return (static_cast<double>(first - sorted.begin()) + 0.5 * static_cast<double>(last - first)) /
           static_cast<double>(sorted.size());
  };
  std::vector<double> sorted_noise(noise.begin(), noise.end()), sorted_signal;
  for (const ClusteredValue& score : signal) sorted_signal.push_back(score.value);
  std::sort(sorted_noise.begin(), sorted_noise.end());
  std::sort(sorted_signal.begin(), sorted_signal.end());
  std::vector<ClusteredValue> above_noise, below_signal;
  double area = 0;
  for (const ClusteredValue& score : signal) {
    above_noise.push_back({score.cluster, below(sorted_noise, score.value)});
    area += above_noise.back().value / static_cast<double>(signal.size());
  }
  for (const double score : noise) {
    below_signal.push_back(
        {static_cast<int64_t>(below_signal.size()), 1 - below(sorted_signal, score)});
  }
  const double half = 1.959963984540054 *
                      std::sqrt(ClusteredVariance(above_noise) + ClusteredVariance(below_signal));
  return {area, std::max(0.0, area - half), std::min(1.0, area + half)};
}

double MacroF1(std::span<const std::string> truth, std::span<const std::string> guess) {
  std::map<std::string, int64_t> in_truth, in_guess, right;
  for (size_t i = 0; i < truth.size(); ++i) {
    ++in_truth[truth[i]];
    ++in_guess[guess[i]];
    if (truth[i] == guess[i]) ++right[truth[i]];
  }
  if (in_truth.empty()) return kNaN;
  double sum = 0;
  for (const auto& [name, count] : in_truth) {
    const int64_t guessed = in_guess.contains(name) ? in_guess[name] : 0;
    const int64_t hits = right.contains(name) ? right[name] : 0;
    sum += 2.0 * static_cast<double>(hits) / static_cast<double>(count + guessed);
  }
  return sum / static_cast<double>(in_truth.size());
}

MutualInformation InformationBits(std::span<const std::string> truth,
                                  std::span<const std::string> guess, int shuffles, uint64_t seed,
                                  std::string_view stream) {
  if (truth.empty()) return {kNaN, kNaN, kNaN};
  std::map<std::string, int64_t> known;
  const std::vector<int64_t> truths = Indices(truth, known), guesses = Indices(guess, known);
  MutualInformation information;
  information.plug_in = PlugInBits(truths, guesses);
  RandomStream random(seed, stream);
  std::vector<int64_t> shuffled(guesses.size());
  for (int i = 0; i < shuffles; ++i) {
    const std::vector<int64_t> order = random.Permutation(static_cast<int64_t>(guesses.size()));
    for (size_t k = 0; k < order.size(); ++k) shuffled[k] = guesses[order[k]];
    information.shuffled += PlugInBits(truths, shuffled) / shuffles;
  }
  information.bits = std::max(0.0, information.plug_in - information.shuffled);
  return information;
}

double MidRank(std::span<const double> scores, int64_t truth) {
  double larger = 0, equal = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (static_cast<int64_t>(i) == truth) continue;
    if (scores[i] > scores[truth]) ++larger;
    if (scores[i] == scores[truth]) ++equal;
  }
  return 1 + larger + equal / 2;
}

}  // namespace extrospect
