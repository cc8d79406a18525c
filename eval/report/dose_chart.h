// Figures over the doses of injected trials. Internal to the report.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "eval/report/svg_chart.h"

namespace extrospect {

struct DoseLevel {
  std::string name;
  double dose = 0.0;
};
// Ascending.
std::vector<DoseLevel> DoseLevels(const nlohmann::ordered_json& report);

// One line per channel over the doses of injected trials.
std::vector<ChartSeries> DoseSeries(const nlohmann::ordered_json& report, const std::string& subset,
                                    const std::vector<std::string>& leave_out, const char* part,
                                    const char* name, bool percent);

ChartOptions DoseOptions(const nlohmann::ordered_json& report, const std::string& label,
                         const std::string& y_title);

// How often each channel names the injected emotion, with its caption: HTML, "" without injections.
std::string DoseChart(const nlohmann::ordered_json& report);

}  // namespace extrospect
