// report.html: one self-contained page.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "eval/figures/trial_record.h"

namespace extrospect {

// What transcripts say, by id, for the examples. Text from outside: it is escaped on its way in.
using TranscriptTexts = std::map<std::string, std::string>;

// `report` is the content of report.json.
std::string ReportHtml(const nlohmann::ordered_json& report,
                       const std::vector<TrialRecord>& records, const TranscriptTexts& texts);

}  // namespace extrospect
