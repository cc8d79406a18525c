// report.md: the short table.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace extrospect {

// `report` is the content of report.json.
std::string ReportMarkdown(const nlohmann::ordered_json& report);

}  // namespace extrospect
