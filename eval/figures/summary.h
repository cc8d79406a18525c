// From trials to numbers: report.json without anything that is not a figure.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "eval/figures/trial_record.h"

namespace extrospect {

struct SummaryOptions {
  std::vector<std::string> decoders;       // channel names
  std::string text_channel;                // the text-only reader that the dev split chose
  std::vector<std::string> self_channels;  // ways to read the self-report
  int64_t bootstrap = 10000;               // resamples
  int64_t shuffles = 100;                  // permutations under mutual information
  uint64_t seed = 0;
};

// Figures of every group of records (truth, subset, channel, variant, reading, dose level; "all" is
// the non-zero doses together) under "groups", paired differences under "comparisons", and in
// words whether the run can be interpreted under "verdict". Estimates are [value, low, high] with
// 95 % intervals; figures that nothing was there to compute from are null.
nlohmann::ordered_json Summarize(const std::vector<TrialRecord>& records,
                                 const SummaryOptions& options);

}  // namespace extrospect
