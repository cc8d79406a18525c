#include "eval/report/dose_chart.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "eval/figures/verdict.h"
#include "eval/report/report_parts.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;

ChartPoint PointOf(double x, const ordered_json& estimate, const std::string& tip) {
  ChartPoint point;
  point.x = x;
  point.y = estimate[0];
  point.low = estimate[1];
  point.high = estimate[2];
  point.tip = tip;
  return point;
}

// A decoder's reading of the whole content over the doses, injected tokens included.
ChartSeries WholeSeries(const ordered_json& report, const std::string& decoder) {
  ChartSeries series;
  const std::vector<DoseLevel> levels = DoseLevels(report);
  for (const ChannelLook& look : ChannelLooks(report)) {
    if (look.channel != decoder) continue;
    series.name = decoder + ", whole";
    series.color = look.color;
  }
  series.dashed = true;
  for (size_t i = 0; i < levels.size(); ++i) {
    const ordered_json top1 =
        FigureOf(FindGroup(report, "injected", "seen", decoder, "real", "whole", levels[i].name),
                 "identification", "top1");
    if (top1.is_null()) continue;
    series.points.push_back(PointOf(static_cast<double>(i), top1,
                                    series.name + " content, dose " + levels[i].name + "\n" +
                                        PercentText(top1) + " " + IntervalText(top1)));
  }
  return series;
}

double Highest(const std::vector<ChartSeries>& series) {
  double highest = 0.0;
  for (const ChartSeries& s : series) {
    for (const ChartPoint& p : s.points) {
      highest = std::max(highest, std::isfinite(p.high) ? p.high : p.y);
    }
  }
  return highest;
}

}  // namespace

std::vector<DoseLevel> DoseLevels(const ordered_json& report) {
  std::map<std::string, double> doses;
  for (const ordered_json& group : report["groups"]) {
    if (group["truth"] != "injected" || group["subset"] != "seen") continue;
    const std::string level = StringAt(group, "dose_level");
    if (level == "all" || level.starts_with("raw:")) continue;
    doses.emplace(level, group.value("mean_dose", 0.0));
  }
  std::vector<DoseLevel> levels;
  for (const auto& [name, dose] : doses) levels.push_back({name, dose});
  std::sort(levels.begin(), levels.end(),
            [](const DoseLevel& a, const DoseLevel& b) { return a.dose < b.dose; });
  return levels;
}

std::vector<ChartSeries> DoseSeries(const ordered_json& report, const std::string& subset,
                                    const std::vector<std::string>& leave_out, const char* part,
                                    const char* name, bool percent) {
  const std::vector<DoseLevel> levels = DoseLevels(report);
  std::vector<ChartSeries> all;
  for (const ChannelLook& look : ChannelLooks(report)) {
    if (std::find(leave_out.begin(), leave_out.end(), look.channel) != leave_out.end()) continue;
    ChartSeries series;
    series.name = look.name;
    series.color = look.color;
    for (size_t i = 0; i < levels.size(); ++i) {
      const ordered_json figure =
          FigureOf(FindGroup(report, "injected", subset, look.channel, "real",
                             MainReading(report, look.channel), levels[i].name),
                   part, name);
      if (figure.is_null()) continue;
      const std::string value = percent ? PercentText(figure) : NumberText(figure[0]);
      series.points.push_back(PointOf(
          static_cast<double>(i), figure,
          look.name + ", dose " + levels[i].name + "\n" + value + " " +
              (percent ? IntervalText(figure)
                       : "[" + NumberText(figure[1]) + ", " + NumberText(figure[2]) + "]")));
    }
    if (!series.points.empty()) all.push_back(std::move(series));
  }
  return all;
}

ChartOptions DoseOptions(const ordered_json& report, const std::string& label,
                         const std::string& y_title) {
  ChartOptions options;
  options.label = label;
  options.x_title = "dose: norm of what is added, in mean residual norms";
  options.y_title = y_title;
  const std::vector<DoseLevel> levels = DoseLevels(report);
  for (size_t i = 0; i < levels.size(); ++i) {
    options.x_ticks.push_back({static_cast<double>(i), levels[i].name});
  }
  options.x_low = -0.15;
  options.x_high = std::max(0.5, static_cast<double>(levels.size()) - 0.85);
  return options;
}

std::string DoseChart(const ordered_json& report) {
  const std::string other = report["summary_options"]["text_channel"] == "text-only-pmi"
                                ? "text-only-raw"
                                : "text-only-pmi";
  std::vector<ChartSeries> series = DoseSeries(
      report, "seen", {other, "self-report-free", "yes-no"}, "identification", "top1", true);
  if (series.empty()) return "";
  for (const auto& decoder : report["summary_options"]["decoders"]) {
    ChartSeries whole = WholeSeries(report, decoder.get<std::string>());
    if (!whole.points.empty()) series.push_back(std::move(whole));
  }
  ChartOptions options =
      DoseOptions(report, "Share of injected emotions that each channel names, by dose",
                  "injected emotion named exactly (top-1)");
  options.y_high = std::min(1.0, std::max(0.1, std::ceil(Highest(series) * 10 + 0.2) / 10));
  options.y_ticks = NiceTicks(0, options.y_high, 5, true);
  options.rules = {{Chance(report), "chance"}};
  return HtmlFigure(
      XyChart(options, series),
      "Bands are 95 % intervals (Wilson). At dose 0 nothing was injected: what is named there is "
      "a guess. Decoders read some blocks above the injection: on the tokens behind it (solid), or "
      "on the whole content, injected tokens included (dotted). The model is asked when the "
      "injection has ended; the text-only reader sees the text alone, which an injection does not "
      "change.");
}

}  // namespace extrospect
