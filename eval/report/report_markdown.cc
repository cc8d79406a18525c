#include "eval/report/report_markdown.h"

#include <cmath>
#include <cstdio>
#include <vector>

namespace extrospect {
namespace {

using nlohmann::ordered_json;

// "34.1 [31.0, 37.3]" in percent; "–" where there is no figure.
std::string Percent(const ordered_json& interval) {
  if (interval.is_null()) return "–";
  char text[64];
  std::snprintf(text, sizeof text, "%.1f [%.1f, %.1f]", interval[0].get<double>() * 100,
                interval[1].get<double>() * 100, interval[2].get<double>() * 100);
  return text;
}

std::string Plain(const ordered_json& number) {
  if (number.is_null()) return "–";
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", number.get<double>());
  return text;
}

void Table(const ordered_json& report, const std::string& truth, const std::string& subset,
           const std::string& dose, std::string& out) {
  std::string rows;
  for (const ordered_json& group : report["groups"]) {
    if (group["truth"] != truth || group["subset"] != subset) continue;
    if (group.value("dose_level", "") != dose || group.value("reading", "") == "whole") continue;
    const ordered_json& identification = group["identification"];
    const ordered_json& detection = group["detection"];
    if (identification.is_null() && detection.is_null()) continue;
    std::string name = group["channel"].get<std::string>();
    if (group["variant"] != "real") name += ", " + group["variant"].get<std::string>();
    const auto of = [](const ordered_json& object, const char* key) {
      return object.is_null() ? ordered_json() : object[key];
    };
    rows += "| " + name + " | " + std::to_string(group["n"].get<int64_t>()) + " | " +
            Percent(of(identification, "top1")) + " | " + Percent(of(identification, "top5")) +
            " | " + Percent(of(identification, "family")) + " | " +
            Percent(of(detection, "hit_rate")) + " | " +
            Percent(of(detection, "false_alarm_rate")) + " | " + Plain(of(detection, "d_prime")) +
            " |\n";
  }
  if (rows.empty()) return;
  out +=
      "\n| channel | n | top-1 % | top-5 % | family % | hits % | false alarms % | d′ |\n"
      "|---|--:|--:|--:|--:|--:|--:|--:|\n" +
      rows;
}

}  // namespace

std::string ReportMarkdown(const ordered_json& report) {
  const ordered_json& verdict = report["verdict"];
  std::string out = "# " + verdict["sentence"].get<std::string>() + "\n";
  for (const auto& problem : verdict["problems"]) {
    out += "\n**Cannot be interpreted:** " + problem.get<std::string>() + "\n";
  }
  for (const auto& note : verdict["notes"]) out += "\n" + note.get<std::string>() + "\n";
  if (const std::string whole = verdict["whole"]; !whole.empty()) out += "\n" + whole + "\n";
  const std::string natural = verdict["natural"], sentence = verdict["sentence"];
  if (!natural.empty() && natural != sentence) out += "\n" + natural + "\n";
  const auto section = [&](const char* title, const std::string& truth, const std::string& subset,
                           const std::string& dose) {
    std::string table;
    Table(report, truth, subset, dose, table);
    if (!table.empty()) out += "\n## " + std::string(title) + "\n" + table;
  };
  section("Injected emotions, all doses", "injected", "seen", "all");
  section("Injected emotions that no decoder was trained on", "injected", "unseen", "all");
  section("Natural transcripts, unseen situations", "natural", "test", "");
  section("Natural transcripts, unseen emotions", "natural", "unseen", "");
  out += "\nIn brackets 95 % intervals (Wilson).";
  if (report.contains("command")) {
    out += "\n\n```\n" + report["command"].get<std::string>() + "\n```\n";
  }
  return out;
}

}  // namespace extrospect
