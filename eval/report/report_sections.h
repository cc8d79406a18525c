// The parts of report.html that are made of figures. Internal to the report.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "eval/report/trial_record.h"

namespace extrospect {

// Channels by their place in the report: name for readers and colour.
struct ChannelLook {
  std::string channel, name;
  int color = 9;
};
// Decoders first, then self-reports, then readers of text, then floors.
std::vector<ChannelLook> ChannelLooks(const nlohmann::ordered_json& report);

// Each returns HTML, empty where the report has no such figures.
std::string DoseChart(const nlohmann::ordered_json& report);
std::string KeyFigures(const nlohmann::ordered_json& report);
std::string DifferenceSection(const nlohmann::ordered_json& report);
std::string InjectedSection(const nlohmann::ordered_json& report);
std::string NaturalSection(const nlohmann::ordered_json& report);
std::string ConfusionSection(const nlohmann::ordered_json& report,
                             const std::vector<TrialRecord>& records);
std::string CalibrationSection(const nlohmann::ordered_json& report);
std::string DetectionSection(const nlohmann::ordered_json& report);
std::string ControlSection(const nlohmann::ordered_json& report);
std::string UnseenAndHardSection(const nlohmann::ordered_json& report);
std::string AffectSection(const nlohmann::ordered_json& report,
                          const std::vector<TrialRecord>& records);

// "34.1 %" and "[31.0, 37.3]" of an estimate; "–" and nothing where it is null.
std::string PercentText(const nlohmann::ordered_json& estimate);
std::string IntervalText(const nlohmann::ordered_json& estimate);

}  // namespace extrospect
