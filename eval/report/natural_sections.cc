#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "base/html.h"
#include "eval/figures/statistics.h"
#include "eval/figures/verdict.h"
#include "eval/report/report_parts.h"
#include "eval/report/report_sections.h"
#include "eval/report/svg_chart.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

}  // namespace

std::string NaturalSection(const ordered_json& report) {
  std::vector<DotRow> rows;
  for (const ChannelLook& look : ChannelLooks(report)) {
    const auto* const group = FindGroup(report, "natural", "test", look.channel, "real", "", "");
    const ordered_json top1 = FigureOf(group, "identification", "top1");
    const ordered_json top5 = FigureOf(group, "identification", "top5");
    if (top1.is_null()) continue;
    rows.push_back(
        {look.name,
         {DotOf(top5, look.color, true,
                look.name + ", top-5\n" + PercentText(top5) + " " + IntervalText(top5)),
          DotOf(top1, look.color, false,
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
         HtmlFigure(DotChart(options, rows),
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
        const ordered_json top1 = FigureOf(group, "identification", "top1");
        if (top1.is_null()) continue;
        high = std::max(high, top1[2].get<double>());
        part.push_back({variant + " activations",
                        {DotOf(top1, variant == "real" ? (injected ? 0 : 1) : 9, false,
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
         HtmlFigure(DotChart(options, rows), "Whiskers are 95 % intervals (Wilson).");
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
    rows += "<tr>" + ChannelCell(look) + TableCell(NumberText(calibration["accuracy"], 3)) +
            TableCell(NumberText(calibration["mean_confidence"], 3)) +
            TableCell(NumberText(calibration["ece"], 3)) +
            TableCell(NumberText(calibration["ece_by_chance"], 3)) +
            TableCell(NumberText(calibration["brier"], 3)) + TableCell((*group)["abstained"]) +
            "</tr>";
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
                           " readings\nconfidence " + NumberText(bin["confidence"]) + ", right " +
                           NumberText(bin["accuracy"]),
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
    out += HtmlFigure(XyChart(options, series),
                      "Bins of confidence with at least three readings; larger marks hold more. On "
                      "the dashed line confidence is earned.",
                      "square");
  }
  return out + HtmlTable({"channel", "accuracy", "mean confidence", "ECE", "ECE by chance", "Brier",
                          "abstained"},
                         rows);
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
        rows += "<tr>" +
                ChannelCell({look.channel, kind.substr(5) + ": " + look.name, look.color}) +
                TableCell(std::to_string((*group)["n"].get<int64_t>())) +
                TableCell(FigureOf(group, "identification", "top1")) +
                TableCell(FigureOf(group, "identification", "top5")) +
                TableCell(FigureOf(group, "identification", "family")) +
                TableCell((*group)["abstained"]) + "</tr>";
      }
    }
    out +=
        "<h2>Hard cases</h2>\n<p>Mixed: two feelings at once, either counts as right. Denied: "
        "“I’m fine”, said by somebody who is not. Other: a feeling told of somebody else. "
        "Masked: performed politeness or cheer over what is beneath.</p>\n" +
        HtmlTable({"kind and channel", "n", "top-1", "top-5", "family", "abstained"}, rows);
  }
  return out;
}

std::string ConfusionSection(const ordered_json& report, const std::vector<TrialRecord>& records) {
  const std::string decoder = StringAt(report["verdict"], "decoder");
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
    families.insert(FamilyRead(record));
    ++counts[injected][{record.trial.family, FamilyRead(record)}];
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
    maps += HtmlFigure(HeatMap(injected ? "Families of injected emotions against families read"
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
        return TableCell(NumberText(FigureOf(group, part, name)));
      };
      rows += "<tr>" +
              ChannelCell(
                  {look.channel, look.name + (injected ? ", injected" : ", natural"), look.color}) +
              TableCell(std::to_string((*group)["valence"]["n"].get<int64_t>())) +
              figure("valence", "mae") + figure("valence", "correlation") +
              figure("arousal", "mae") + figure("arousal", "correlation") + "</tr>";
    }
  }
  if (rows.empty()) return "";
  // Means by concept show what single readings blur.
  const std::string decoder = StringAt(report["verdict"], "decoder");
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
      dots.points.push_back(
          {truth[word], mean, kNaN, kNaN,
           word + "\nlexicon " + NumberText(truth[word]) + ", read " + NumberText(mean), 1.15});
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
    out += HtmlFigure(XyChart(options, {dots}),
                      "Each mark is one emotion on natural test transcripts, read by the " +
                          EscapeHtml(decoder) + " decoder.",
                      "square");
  }
  return out +
         HtmlTable({"channel", "n", "valence MAE", "valence r", "arousal MAE", "arousal r"}, rows);
}

}  // namespace extrospect
