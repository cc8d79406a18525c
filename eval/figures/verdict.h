// What the figures come to, in words.
#pragma once

#include <nlohmann/json.hpp>

#include "eval/figures/summary.h"

namespace extrospect {

// False alarms above this make detections worthless, whatever the hit rate.
inline constexpr double kMaxFalseAlarms = 0.10;

// Reads "groups" and "comparisons" of a summary. Returns
//   decoder          the one with the best identification, which the sentences are about
//   sentence         the answer in one sentence
//   injected, whole, natural   the sentences on injected emotions read behind the injection, read
//                    over the whole content, and on natural transcripts
//   interpretable    false if anything stands in the way of believing it
//   problems         what that is, one sentence each
//   notes            what a reader must know beside it
nlohmann::ordered_json Judge(const nlohmann::ordered_json& summary, const SummaryOptions& options);

// The group with these names, or nullptr.
const nlohmann::ordered_json* FindGroup(const nlohmann::ordered_json& summary,
                                        const std::string& truth, const std::string& subset,
                                        const std::string& channel, const std::string& variant,
                                        const std::string& reading, const std::string& dose_level);

// The comparison a − b on all doses (or natural trials, where `reading` is empty), or nullptr. For
// decoders' own controls `b` is the decoder and `variant` the control.
const nlohmann::ordered_json* FindComparison(const nlohmann::ordered_json& summary,
                                             const std::string& truth, const std::string& subset,
                                             const std::string& a, const std::string& reading,
                                             const std::string& b, const std::string& variant);

}  // namespace extrospect
