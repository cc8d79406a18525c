// The sections of report.html that are made of figures. Internal to the report.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "eval/figures/trial_record.h"

namespace extrospect {

// Each returns HTML, empty where the report has no such figures.
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

}  // namespace extrospect
