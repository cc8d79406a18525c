// The figures that a channel is judged by: pure functions over plain numbers, without torch.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/figures/statistics.h"

namespace extrospect {

// Sensitivity d′ = z(hit rate) − z(false-alarm rate) with the log-linear correction (Hautus 1995):
// half a success is added to both counts, so that rates of 0 and 1 stay finite. NaN without signal
// or noise trials.
double DPrime(int64_t hits, int64_t n_signal, int64_t false_alarms, int64_t n_noise);

// Area under the ROC curve = P(signal scores higher than noise), ties count half. The interval is
// that of DeLong et al. (1988), for signals in clusters as by Obuchowski (1997): from how much of
// the other side each score is above (or below). NaN if either is empty.
Estimate Auroc(std::span<const ClusteredValue> signal, std::span<const double> noise);

// Mean F1 over the classes that occur among the truths.
double MacroF1(std::span<const std::string> truth, std::span<const std::string> guess);

// Mutual information between truth and guess in bits. The plug-in estimate is far too high where
// classes are many and trials few, so that the mean over `shuffles` permutations of the guesses
// (which share nothing with the truth) is given beside it; `bits` is the difference, at least 0.
struct MutualInformation {
  double bits = 0.0;
  double plug_in = 0.0;
  double shuffled = 0.0;
};
MutualInformation InformationBits(std::span<const std::string> truth,
                                  std::span<const std::string> guess, int shuffles, uint64_t seed,
                                  std::string_view stream);

// The truth's place among scores, best = 1, ties counted at their middle: 1 + larger + equal / 2.
double MidRank(std::span<const double> scores, int64_t truth);

}  // namespace extrospect
