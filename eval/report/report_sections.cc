#include "eval/report/report_sections.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <set>

#include "eval/report/statistics.h"
#include "eval/report/svg_chart.h"
#include "eval/report/verdict.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

std::string TextOf(const ordered_json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? std::string() : found->get<std::string>();
}

// A figure of a group ("identification", "top1"); null where there is none.
ordered_json Figure(const ordered_json* group, const char* part, const char* name) {
  if (group == nullptr || !group->contains(part) || (*group)[part].is_null()) return nullptr;
  const ordered_json& object = (*group)[part];
  return object.contains(name) ? object[name] : ordered_json(nullptr);
}

std::string Number(const ordered_json& number, int decimals = 2) {
  if (number.is_null()) return "–";
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", decimals, number.get<double>());
  return text;
}

std::string Cell(const ordered_json& estimate) {
  if (estimate.is_null()) return "<td>–</td>";
  return "<td>" + PercentText(estimate) + "<span class=\"i\">" + IntervalText(estimate) +
         "</span></td>";
}
std::string Cell(const std::string& text) { return "<td>" + EscapeHtml(text) + "</td>"; }

std::string Figured(const std::string& svg, const std::string& caption,
                    const std::string& style = "") {
  return "<figure" + (style.empty() ? "" : " class=\"" + style + "\"") + "><div class=\"scroll\">" +
         svg + "</div><figcaption>" + caption + "</figcaption></figure>\n";
}

std::string Table(const std::vector<std::string>& heads, const std::string& rows) {
  std::string out = "<div class=\"table\"><table><thead><tr>";
  for (const std::string& head : heads) out += "<th>" + head + "</th>";
  return out + "</tr></thead><tbody>" + rows + "</tbody></table></div>\n";
}

std::string NameCell(const ChannelLook& look) {
  return "<td><span class=\"swatch c" + std::to_string(look.color) + "\"></span>" +
         EscapeHtml(look.name) + "</td>";
}

bool IsDecoder(const ordered_json& report, const std::string& channel) {
  const auto& decoders = report["summary_options"]["decoders"];
  return std::find(decoders.begin(), decoders.end(), channel) != decoders.end();
}

// The reading in which a channel is judged on injected trials.
std::string MainReading(const ordered_json& report, const std::string& channel) {
  return IsDecoder(report, channel) ? "after" : "";
}

struct DoseLevel {
  std::string name;
  double dose = 0.0;
};
std::vector<DoseLevel> DoseLevels(const ordered_json& report) {
  std::map<std::string, double> doses;
  for (const ordered_json& group : report["groups"]) {
    if (group["truth"] != "injected" || group["subset"] != "seen") continue;
    const std::string level = TextOf(group, "dose_level");
    if (level == "all" || level.starts_with("raw:")) continue;
    doses.emplace(level, group.value("mean_dose", 0.0));
  }
  std::vector<DoseLevel> levels;
  for (const auto& [name, dose] : doses) levels.push_back({name, dose});
  std::sort(levels.begin(), levels.end(),
            [](const DoseLevel& a, const DoseLevel& b) { return a.dose < b.dose; });
  return levels;
}

ChartPoint PointOf(double x, const ordered_json& estimate, const std::string& tip) {
  ChartPoint point;
  point.x = x;
  point.y = estimate[0];
  point.low = estimate[1];
  point.high = estimate[2];
  point.tip = tip;
  return point;
}

// One line per channel over the doses of injected trials.
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
          Figure(FindGroup(report, "injected", subset, look.channel, "real",
                           MainReading(report, look.channel), levels[i].name),
                 part, name);
      if (figure.is_null()) continue;
      const std::string value = percent ? PercentText(figure) : Number(figure[0]);
      series.points.push_back(
          PointOf(static_cast<double>(i), figure,
                  look.name + ", dose " + levels[i].name + "\n" + value + " " +
                      (percent ? IntervalText(figure)
                               : "[" + Number(figure[1]) + ", " + Number(figure[2]) + "]")));
    }
    if (!series.points.empty()) all.push_back(std::move(series));
  }
  return all;
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
        Figure(FindGroup(report, "injected", "seen", decoder, "real", "whole", levels[i].name),
               "identification", "top1");
    if (top1.is_null()) continue;
    series.points.push_back(PointOf(static_cast<double>(i), top1,
                                    series.name + " content, dose " + levels[i].name + "\n" +
                                        PercentText(top1) + " " + IntervalText(top1)));
  }
  return series;
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

double Highest(const std::vector<ChartSeries>& series) {
  double highest = 0.0;
  for (const ChartSeries& s : series) {
    for (const ChartPoint& p : s.points) {
      highest = std::max(highest, std::isfinite(p.high) ? p.high : p.y);
    }
  }
  return highest;
}

double Chance(const ordered_json& report) {
  return report.contains("lexicon") ? 1.0 / std::max(1.0, report["lexicon"]["words"].get<double>())
                                    : 1.0 / 171.0;
}

DotValue Dot(const ordered_json& estimate, int color, bool hollow, const std::string& tip) {
  return {estimate[0], estimate[1], estimate[2], color, hollow, tip};
}

// A channel's figures in one line of a table.
std::string FigureRow(const ChannelLook& look, const ordered_json* group) {
  const auto figure = [&](const char* part, const char* name) { return Figure(group, part, name); };
  const ordered_json information = figure("identification", "information");
  return "<tr>" + NameCell(look) + Cell(std::to_string((*group)["n"].get<int64_t>())) +
         Cell(figure("identification", "top1")) + Cell(figure("identification", "top5")) +
         Cell(figure("identification", "near")) + Cell(figure("identification", "family")) +
         Cell(Number(figure("identification", "macro_f1"), 3)) +
         Cell(information.is_null() ? "–" : Number(information["bits"])) + "</tr>";
}

std::string FigureTable(const ordered_json& report, const std::string& truth,
                        const std::string& subset, const std::string& dose) {
  std::string rows;
  for (const ChannelLook& look : ChannelLooks(report)) {
    const std::string reading = truth == "injected" ? MainReading(report, look.channel) : "";
    const auto* const group = FindGroup(report, truth, subset, look.channel, "real", reading, dose);
    if (group == nullptr || (*group)["identification"].is_null()) continue;
    rows += FigureRow(look, group);
  }
  if (rows.empty()) return "";
  return Table({"channel", "n", "top-1", "top-5", "right or near", "family", "macro-F1", "bits"},
               rows);
}

}  // namespace

std::string PercentText(const ordered_json& estimate) {
  if (estimate.is_null()) return "–";
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", estimate[0].get<double>() * 100);
  return text;
}

std::string IntervalText(const ordered_json& estimate) {
  if (estimate.is_null()) return "";
  char text[48];
  std::snprintf(text, sizeof text, "[%.1f, %.1f]", estimate[1].get<double>() * 100,
                estimate[2].get<double>() * 100);
  return text;
}

std::vector<ChannelLook> ChannelLooks(const ordered_json& report) {
  std::vector<ChannelLook> looks;
  const auto& options = report["summary_options"];
  static constexpr std::array kDecoderColors = {0, 1, 8, 5, 6, 7};
  for (const auto& decoder : options["decoders"]) {
    const auto channel = decoder.get<std::string>();
    looks.push_back(
        {channel, channel + " decoder", kDecoderColors[looks.size() % kDecoderColors.size()]});
  }
  looks.push_back({"self-report", "self-report", 2});
  looks.push_back({"self-report-shift", "self-report, shift", 3});
  looks.push_back({"self-report-free", "self-report, free text", 9});
  looks.push_back({"yes-no", "YES/NO question", 3});
  const auto text = options["text_channel"].get<std::string>();
  looks.push_back({text, "text-only reader", 4});
  const std::string other = text == "text-only-pmi" ? "text-only-raw" : "text-only-pmi";
  looks.push_back({other, other == "text-only-raw" ? "text-only, raw" : "text-only, PMI", 9});
  looks.push_back({"bag-of-words", "bag of words", 9});
  looks.push_back({"prior", "prior", 9});
  return looks;
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
  return Figured(
      XyChart(options, series),
      "Bands are 95 % intervals (Wilson). At dose 0 nothing was injected: what is named there is "
      "a guess. Decoders read some blocks above the injection: on the tokens behind it (solid), or "
      "on the whole content, injected tokens included (dotted). The model is asked when the "
      "injection has ended; the text-only reader sees the text alone, which an injection does not "
      "change.");
}

std::string KeyFigures(const ordered_json& report) {
  std::string cards;
  const auto add = [&](const std::string& value, const std::string& interval,
                       const std::string& what) {
    cards += "<div class=\"card\"><div class=\"n\">" + value + "</div><div class=\"w\">" +
             EscapeHtml(what) + "</div><div class=\"i\">" + interval + "</div></div>";
  };
  const std::string decoder = TextOf(report["verdict"], "decoder");
  const auto* const injected =
      FindGroup(report, "injected", "seen", decoder, "real", "after", "all");
  const auto* const natural = FindGroup(report, "natural", "test", decoder, "real", "", "");
  const auto share = [&](const ordered_json* group, const char* part, const char* name,
                         const std::string& what) {
    const ordered_json figure = Figure(group, part, name);
    if (!figure.is_null()) add(PercentText(figure), IntervalText(figure), what);
  };
  share(injected, "identification", "top5", "injected emotion among the decoder's first five");
  share(natural, "identification", "top1", "natural transcripts: emotion named exactly");
  share(natural, "identification", "family", "natural transcripts: right family of emotions");
  share(injected != nullptr ? injected : natural, "detection", "false_alarm_rate",
        "false alarms where nothing was to be found");
  return cards.empty() ? "" : "<div class=\"cards\">" + cards + "</div>\n";
}

std::string DifferenceSection(const ordered_json& report) {
  std::vector<DotRow> rows;
  std::string table;
  double low = 0, high = 0;
  std::map<std::string, std::string> names;
  for (const ChannelLook& look : ChannelLooks(report)) names[look.channel] = look.name;
  std::string heading;
  for (const ordered_json& entry : report["comparisons"]) {
    const std::string subset = entry["subset"], dose = TextOf(entry, "dose_level");
    if ((subset != "seen" && subset != "test") || (!dose.empty() && dose != "all")) continue;
    const bool injected = entry["truth"] == "injected";
    const std::string a = entry["a"]["channel"], b = entry["b"]["channel"],
                      variant = entry["b"]["variant"];
    const std::string title =
        names[a] + (!injected                          ? ", natural transcripts"
                    : entry["a"]["reading"] == "whole" ? ", injected, over the whole content"
                                                       : ", injected, behind the injection");
    if (title != heading) {
      heading = title;
      rows.push_back({title, {}, true});
    }
    const std::string against = b == a ? variant + " activations" : names[b];
    const ordered_json& top1 = entry["top1"];
    low = std::min(low, top1[1].get<double>());
    high = std::max(high, top1[2].get<double>());
    const int color = b == a ? 9 : injected ? 0 : 1;
    char text[64];
    std::snprintf(text, sizeof text, "%+.1f points [%.1f, %.1f]", top1[0].get<double>() * 100,
                  top1[1].get<double>() * 100, top1[2].get<double>() * 100);
    rows.push_back(
        {"minus " + against, {Dot(top1, color, false, title + " minus " + against + "\n" + text)}});
    const ordered_json& top5 = entry["top5"];
    char five[64];
    std::snprintf(five, sizeof five, "%+.1f [%.1f, %.1f]", top5[0].get<double>() * 100,
                  top5[1].get<double>() * 100, top5[2].get<double>() * 100);
    table += "<tr>" + Cell(title + " − " + against) +
             Cell(std::to_string(entry["n_trials"].get<int64_t>())) +
             Cell(std::to_string(entry["n_concepts"].get<int64_t>())) + Cell(std::string(text)) +
             Cell(std::string(five)) + "</tr>";
  }
  if (table.empty()) return "";
  DotChartOptions options;
  options.label = "Paired differences in top-1 identification";
  options.x_title = "difference in top-1 identification, percentage points";
  options.low = std::floor(low * 10 - 0.2) / 10;
  options.high = std::ceil(high * 10 + 0.2) / 10;
  options.zero = 0;
  options.label_width = 230;
  const int64_t resamples = report["summary_options"]["bootstrap"];
  return "<h2>The differences</h2>\n<p>Both sides of a difference were judged on the same trials. "
         "Everything right of zero speaks for the decoder.</p>\n" +
         Figured(DotChart(options, rows),
                 "Paired differences with 95 % bootstrap intervals (" + std::to_string(resamples) +
                     " resamples of whole concepts, because trials of one concept are not "
                     "independent).") +
         "<details><summary>The figures</summary>" +
         Table({"difference", "trials", "concepts", "top-1, points", "top-5, points"}, table) +
         "</details>\n";
}

std::string InjectedSection(const ordered_json& report) {
  const std::string table = FigureTable(report, "injected", "seen", "all");
  if (table.empty()) return "";
  std::string out = "<h2>Injected emotions</h2>\n";
  if (report.contains("design") && report["design"].is_object()) {
    const ordered_json& design = report["design"];
    out += "<p>A known emotion vector is added to a neutral transcript after block " +
           std::to_string(design["block"].get<int64_t>()) + " of " +
           std::to_string(design["n_layers"].get<int64_t>()) + ", over the first " +
           std::to_string(static_cast<int>(std::lround(design["span"].get<double>() * 100))) +
           " % of its content tokens. " + std::to_string(design["n_trials"].get<int64_t>()) +
           " trials, " + std::to_string(design["n_transcripts"].get<int64_t>()) +
           " transcripts. Below: all non-zero doses together, concepts that decoders were trained "
           "on.</p>\n";
  }
  out += table;
  // The other reading, and each dose.
  std::string rows;
  for (const auto& name : report["summary_options"]["decoders"]) {
    const auto decoder = name.get<std::string>();
    for (const DoseLevel& level : DoseLevels(report)) {
      const auto* const after =
          FindGroup(report, "injected", "seen", decoder, "real", "after", level.name);
      const auto* const whole =
          FindGroup(report, "injected", "seen", decoder, "real", "whole", level.name);
      if (after == nullptr || whole == nullptr) continue;
      rows += "<tr>" + Cell(decoder + ", dose " + level.name) +
              Cell(Figure(after, "identification", "top1")) +
              Cell(Figure(after, "identification", "top5")) +
              Cell(Figure(whole, "identification", "top1")) +
              Cell(Figure(whole, "identification", "top5")) + "</tr>";
    }
  }
  if (!rows.empty()) {
    out +=
        "<details><summary>By dose, behind the injection and over the whole "
        "content</summary><p class=\"note\">The second reading includes the tokens where the "
        "vector went in, some blocks later; it is the easier one and counts for no headline."
        "</p>" +
        Table({"decoder", "behind: top-1", "top-5", "whole: top-1", "top-5"}, rows) +
        "</details>\n";
  }
  return out;
}

std::string NaturalSection(const ordered_json& report) {
  std::vector<DotRow> rows;
  for (const ChannelLook& look : ChannelLooks(report)) {
    const auto* const group = FindGroup(report, "natural", "test", look.channel, "real", "", "");
    const ordered_json top1 = Figure(group, "identification", "top1");
    const ordered_json top5 = Figure(group, "identification", "top5");
    if (top1.is_null()) continue;
    rows.push_back({look.name,
                    {Dot(top5, look.color, true,
                         look.name + ", top-5\n" + PercentText(top5) + " " + IntervalText(top5)),
                     Dot(top1, look.color, false,
                         look.name + ", top-1\n" + PercentText(top1) + " " + IntervalText(top1))}});
  }
  if (rows.empty()) return "";
  DotChartOptions options;
  options.label = "Identification on natural transcripts by channel";
  options.x_title = "emotion that the author meant: top-1 (filled), top-5 (open)";
  options.high = 0.1;
  for (const DotRow& row : rows) {
    for (const DotValue& value : row.values) options.high = std::max(options.high, value.high);
  }
  options.high = std::min(1.0, std::ceil(options.high * 10 + 0.1) / 10);
  return "<h2>Natural transcripts</h2>\n<p>Held-out transcripts in situations that no training "
         "transcript shares. They never name the emotion; the truth is what their author "
         "meant.</p>\n" +
         Figured(DotChart(options, rows),
                 "Whiskers are 95 % intervals (Wilson); chance is " +
                     PercentText(ordered_json{Chance(report), 0.0, 0.0}) +
                     ". The text-only reader is the same model, shown the text and asked.") +
         FigureTable(report, "natural", "test", "");
}

std::string ControlSection(const ordered_json& report) {
  std::vector<DotRow> rows;
  double high = 0.05;
  for (const auto& name : report["summary_options"]["decoders"]) {
    const auto decoder = name.get<std::string>();
    for (const std::string reading : {"after", "whole", ""}) {
      const bool injected = !reading.empty();
      std::vector<DotRow> part;
      for (const std::string variant : {"real", "shuffled", "random", "zeroed"}) {
        const auto* const group =
            injected ? FindGroup(report, "injected", "seen", decoder, variant, reading, "all")
                     : FindGroup(report, "natural", "test", decoder, variant, "", "");
        const ordered_json top1 = Figure(group, "identification", "top1");
        if (top1.is_null()) continue;
        high = std::max(high, top1[2].get<double>());
        part.push_back({variant + " activations",
                        {Dot(top1, variant == "real" ? (injected ? 0 : 1) : 9, false,
                             variant + "\n" + PercentText(top1) + " " + IntervalText(top1))}});
      }
      if (part.empty()) continue;
      rows.push_back({decoder + " decoder, " +
                          (reading == "after"   ? "behind the injection"
                           : reading == "whole" ? "injected, over the whole content"
                                                : "natural"),
                      {},
                      true});
      rows.insert(rows.end(), part.begin(), part.end());
    }
  }
  if (rows.empty()) return "";
  DotChartOptions options;
  options.label = "Identification with the controls in place of the activations";
  options.x_title = "top-1 identification";
  options.high = std::min(1.0, std::ceil(high * 10 + 0.1) / 10);
  return "<h2>Controls</h2>\n<p>A decoder that does as well without the activation reads nothing. "
         "Shuffled: another trial's activation of the same dose. Random: a random direction of the "
         "same norm. Zeroed: none at all.</p>\n" +
         Figured(DotChart(options, rows), "Whiskers are 95 % intervals (Wilson).");
}

std::string CalibrationSection(const ordered_json& report) {
  ChartOptions options;
  options.label = "Confidence against accuracy";
  options.x_title = "confidence of the first choice";
  options.y_title = "share of right first choices";
  options.x_ticks = options.y_ticks = NiceTicks(0, 1, 5, true);
  options.diagonal = true;
  options.height = 400;
  options.width = 560;
  options.right_margin = 130;
  std::vector<ChartSeries> series;
  std::string rows;
  for (const ChannelLook& look : ChannelLooks(report)) {
    const auto* const group = FindGroup(report, "natural", "test", look.channel, "real", "", "");
    if (group == nullptr || (*group)["calibration"].is_null()) continue;
    const ordered_json& calibration = (*group)["calibration"];
    rows += "<tr>" + NameCell(look) + Cell(Number(calibration["accuracy"], 3)) +
            Cell(Number(calibration["mean_confidence"], 3)) + Cell(Number(calibration["ece"], 3)) +
            Cell(Number(calibration["ece_by_chance"], 3)) + Cell(Number(calibration["brier"], 3)) +
            Cell((*group)["abstained"]) + "</tr>";
    if (!IsDecoder(report, look.channel) &&
        look.channel != report["summary_options"]["text_channel"]) {
      continue;
    }
    ChartSeries line{look.name, look.color, {}, false, true, false};
    for (const ordered_json& bin : calibration["bins"]) {
      const double n = bin["n"];
      if (n < 3) continue;  // fewer say nothing
      const auto right = static_cast<int64_t>(std::lround(n * bin["accuracy"].get<double>()));
      const Estimate estimate = WilsonInterval(right, static_cast<int64_t>(n));
      ChartPoint point{bin["confidence"],
                       bin["accuracy"],
                       estimate.low,
                       estimate.high,
                       look.name + ": " + std::to_string(static_cast<int>(n)) +
                           " readings\nconfidence " + Number(bin["confidence"]) + ", right " +
                           Number(bin["accuracy"]),
                       0.8 + std::min(1.0, std::sqrt(n) / 14)};
      line.points.push_back(std::move(point));
    }
    if (!line.points.empty()) series.push_back(std::move(line));
  }
  if (rows.empty()) return "";
  std::string out =
      "<h2>Calibration</h2>\n<p>A calibrated channel is right as often as it is sure. Judged on "
      "natural test transcripts, “nothing to report” included. ECE is the mean distance between "
      "the two; beside it, what a perfectly calibrated channel as sure as this one would show by "
      "chance, since no few readings are right just as often as they are sure.</p>\n";
  if (!series.empty()) {
    out += Figured(XyChart(options, series),
                   "Bins of confidence with at least three readings; larger marks hold more. On "
                   "the dashed line confidence is earned.",
                   "square");
  }
  return out + Table({"channel", "accuracy", "mean confidence", "ECE", "ECE by chance", "Brier",
                      "abstained"},
                     rows);
}

std::string DetectionSection(const ordered_json& report) {
  const std::string other = report["summary_options"]["text_channel"] == "text-only-pmi"
                                ? "text-only-raw"
                                : "text-only-pmi";
  std::string out;
  const std::vector<ChartSeries> series =
      DoseSeries(report, "seen", {other, "self-report-shift", "self-report-free"}, "detection",
                 "auroc", false);
  if (!series.empty()) {
    ChartOptions options = DoseOptions(report, "Detection of an injection by dose", "AUROC");
    options.height = 340;
    options.y_low = 0.2;
    options.y_high = 1.0;
    for (const ChartSeries& s : series) {
      for (const ChartPoint& p : s.points) options.y_low = std::min(options.y_low, p.low);
    }
    options.y_low = std::max(0.0, std::floor(options.y_low * 10) / 10);
    options.y_ticks = NiceTicks(options.y_low, 1, 5, false);
    options.rules = {{0.5, "no better than a coin"}};
    out += Figured(XyChart(options, series),
                   "How well a channel tells an injected trial from one at dose 0, whatever its "
                   "threshold; bands are 95 % intervals (Hanley &amp; McNeil).");
  }
  std::string rows;
  const auto add = [&](const ChannelLook& look, const ordered_json* group, const std::string& on) {
    if (group == nullptr || (*group)["detection"].is_null()) return;
    const ordered_json& d = (*group)["detection"];
    const ordered_json auroc = d["auroc"];
    rows += "<tr>" + NameCell({look.channel, look.name + ", " + on, look.color}) +
            Cell(std::to_string(d["n_signal"].get<int64_t>()) + " / " +
                 std::to_string(d["n_noise"].get<int64_t>())) +
            Cell(d["hit_rate"]) + Cell(d["false_alarm_rate"]) + Cell(Number(d["d_prime"])) +
            Cell(auroc.is_null()
                     ? "–"
                     : Number(auroc[0]) + " [" + Number(auroc[1]) + ", " + Number(auroc[2]) + "]") +
            "</tr>";
  };
  for (const ChannelLook& look : ChannelLooks(report)) {
    const std::string reading = MainReading(report, look.channel);
    add(look, FindGroup(report, "injected", "seen", look.channel, "real", reading, "all"),
        "emotions");
    add(look, FindGroup(report, "injected", "random", look.channel, "real", reading, "all"),
        "random directions");
    add(look, FindGroup(report, "natural", "test", look.channel, "real", "", ""), "natural");
  }
  if (!rows.empty()) {
    out += Table({"channel", "signal / noise", "hits", "false alarms", "d′", "AUROC"}, rows);
    out +=
        "<p class=\"note\">Decoders detect where their probability of nothing is below a threshold "
        "that was set on dev transcripts (5 % false alarms there); the other channels where "
        "nothing is not their first choice, or where YES is likelier than NO. Random directions "
        "have the norm of an emotion vector: a channel that detects them as well detects something "
        "unusual, not an emotion.</p>\n";
  }
  // The YES/NO protocol by dose.
  std::string protocol;
  for (const DoseLevel& level : DoseLevels(report)) {
    const auto* const group =
        FindGroup(report, "injected", "seen", "yes-no", "real", "", level.name);
    if (group == nullptr || !group->contains("extra")) continue;
    const ordered_json& extra = (*group)["extra"];
    const auto value = [&](const char* name) {
      if (!extra.contains(name)) return Cell(std::string("–"));
      return Cell(Number(extra[name][0]) + " [" + Number(extra[name][1]) + ", " +
                  Number(extra[name][2]) + "]");
    };
    protocol += "<tr>" + Cell("dose " + level.name) + value("d detection") + value("d factual NO") +
                value("detection score") + value("inverted score") + value("match score") + "</tr>";
  }
  if (!protocol.empty()) {
    out +=
        "<details><summary>The YES/NO protocol in logits</summary><p class=\"note\">d is "
        "logit(YES) − logit(NO). Detection score: d on the detection question minus the mean d "
        "of factual questions whose answer is NO. Inverted: the same with the question turned "
        "round, so that noticing means NO. Match: d on “do you feel X?” with the injected X "
        "minus an unrelated one. If the model noticed anything, scores would rise with the "
        "dose.</p>" +
        Table({"", "d detection", "d factual", "detection score", "inverted score", "match score"},
              protocol) +
        "</details>\n";
  }
  return out.empty() ? "" : "<h2>Detection</h2>\n" + out;
}

std::string UnseenAndHardSection(const ordered_json& report) {
  std::string out;
  const std::string unseen_injected = FigureTable(report, "injected", "unseen", "all");
  const std::string unseen_natural = FigureTable(report, "natural", "unseen", "");
  if (!unseen_injected.empty() || !unseen_natural.empty()) {
    out +=
        "<h2>Emotions never trained on</h2>\n<p>Some emotions are kept out of training "
        "altogether. A decoder cannot have learnt their names; what counts is whether it reads "
        "a neighbour: the family, or a near miss.</p>\n";
    if (!unseen_natural.empty()) out += "<h3>Natural transcripts</h3>\n" + unseen_natural;
    if (!unseen_injected.empty()) out += "<h3>Injected vectors</h3>\n" + unseen_injected;
  }
  std::set<std::string> kinds;
  for (const ordered_json& group : report["groups"]) {
    const std::string subset = group["subset"];
    if (subset.starts_with("hard/")) kinds.insert(subset);
  }
  if (!kinds.empty()) {
    std::string rows;
    for (const std::string& kind : kinds) {
      for (const ChannelLook& look : ChannelLooks(report)) {
        const auto* const group = FindGroup(report, "natural", kind, look.channel, "real", "", "");
        if (group == nullptr || look.channel == "prior" || look.color == 9) continue;
        rows += "<tr>" + NameCell({look.channel, kind.substr(5) + ": " + look.name, look.color}) +
                Cell(std::to_string((*group)["n"].get<int64_t>())) +
                Cell(Figure(group, "identification", "top1")) +
                Cell(Figure(group, "identification", "top5")) +
                Cell(Figure(group, "identification", "family")) + Cell((*group)["abstained"]) +
                "</tr>";
      }
    }
    out +=
        "<h2>Hard cases</h2>\n<p>Mixed: two feelings at once, either counts as right. Denied: "
        "“I’m fine”, said by somebody who is not. Other: a feeling told of somebody else. "
        "Masked: performed politeness or cheer over what is beneath.</p>\n" +
        Table({"kind and channel", "n", "top-1", "top-5", "family", "abstained"}, rows);
  }
  return out;
}

std::string ConfusionSection(const ordered_json& report, const std::vector<TrialRecord>& records) {
  const std::string decoder = TextOf(report["verdict"], "decoder");
  std::set<std::string> families;
  std::map<bool, std::map<std::pair<std::string, std::string>, double>> counts;
  std::map<bool, std::map<std::string, double>> totals;
  for (const TrialRecord& record : records) {
    if (record.channel != decoder || record.variant != "real" || record.guess.empty()) continue;
    const bool injected = record.trial.injected();
    if (injected ? (record.trial.subset != "seen" || record.reading != "after" ||
                    !(record.trial.dose > 0))
                 : (record.trial.subset != "test" || !record.trial.signal())) {
      continue;
    }
    families.insert(record.trial.family);
    families.insert(record.guess_family);
    ++counts[injected][{record.trial.family, record.guess_family}];
    ++totals[injected][record.trial.family];
  }
  families.erase("");
  if (families.empty()) return "";
  const std::vector<std::string> names(families.begin(), families.end());
  std::string maps;
  for (const bool injected : {false, true}) {
    if (!totals.contains(injected)) continue;
    std::vector<std::vector<double>> shares;
    for (const std::string& row : names) {
      std::vector<double>& line = shares.emplace_back();
      for (const std::string& column : names) {
        const double total = totals[injected][row];
        line.push_back(total > 0 ? counts[injected][{row, column}] / total : kNaN);
      }
    }
    maps += Figured(HeatMap(injected ? "Families of injected emotions against families read"
                                     : "Families of natural emotions against families read",
                            names, shares, injected ? "injected" : "meant", "read as"),
                    injected ? "Injected emotions, all non-zero doses, in percent of each row."
                             : "Natural test transcripts, in percent of each row.",
                    "square");
  }
  return "<h2>What is taken for what</h2>\n<p>Families of the lexicon: what was there against what "
         "the " +
         EscapeHtml(decoder) + " decoder read. A perfect reader fills the diagonal.</p>\n" + maps;
}

std::string AffectSection(const ordered_json& report, const std::vector<TrialRecord>& records) {
  std::string rows;
  for (const ChannelLook& look : ChannelLooks(report)) {
    for (const bool injected : {false, true}) {
      const auto* const group =
          injected ? FindGroup(report, "injected", "seen", look.channel, "real",
                               MainReading(report, look.channel), "all")
                   : FindGroup(report, "natural", "test", look.channel, "real", "", "");
      if (group == nullptr || (*group)["valence"].is_null()) continue;
      const auto figure = [&](const char* part, const char* name) {
        return Cell(Number(Figure(group, part, name)));
      };
      rows += "<tr>" +
              NameCell(
                  {look.channel, look.name + (injected ? ", injected" : ", natural"), look.color}) +
              Cell(std::to_string((*group)["valence"]["n"].get<int64_t>())) +
              figure("valence", "mae") + figure("valence", "correlation") +
              figure("arousal", "mae") + figure("arousal", "correlation") + "</tr>";
    }
  }
  if (rows.empty()) return "";
  // Means by concept show what single readings blur.
  const std::string decoder = TextOf(report["verdict"], "decoder");
  std::map<std::string, std::pair<double, double>> sums;  // valence read, count
  std::map<std::string, double> truth;
  for (const TrialRecord& record : records) {
    if (record.channel != decoder || record.variant != "real" || record.trial.injected() ||
        !record.trial.signal() || record.trial.subset != "test" || !std::isfinite(record.valence)) {
      continue;
    }
    auto& [sum, count] = sums[record.trial.concept_word];
    sum += record.valence;
    ++count;
    truth[record.trial.concept_word] = record.trial.truth_valence;
  }
  std::string out = "<h2>Valence and arousal</h2>\n";
  if (sums.size() > 3) {
    ChartSeries dots{"", 0, {}, false, false, false};
    for (const auto& [word, value] : sums) {
      const double mean = value.first / value.second;
      dots.points.push_back({truth[word], mean, kNaN, kNaN,
                             word + "\nlexicon " + Number(truth[word]) + ", read " + Number(mean),
                             1.15});
    }
    ChartOptions options;
    options.label = "Valence of the lexicon against valence read, by emotion";
    options.x_title = "valence in the lexicon";
    options.y_title = "valence read (mean over test transcripts)";
    options.x_low = options.y_low = -1;
    options.x_ticks = options.y_ticks = NiceTicks(-1, 1, 4, false);
    options.width = 560;
    options.height = 400;
    options.right_margin = 24;
    options.diagonal = true;
    out += Figured(XyChart(options, {dots}),
                   "Each mark is one emotion on natural test transcripts, read by the " +
                       EscapeHtml(decoder) + " decoder.",
                   "square");
  }
  return out +
         Table({"channel", "n", "valence MAE", "valence r", "arousal MAE", "arousal r"}, rows);
}

}  // namespace extrospect
