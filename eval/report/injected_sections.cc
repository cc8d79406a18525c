#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "base/html.h"
#include "eval/figures/verdict.h"
#include "eval/report/dose_chart.h"
#include "eval/report/report_parts.h"
#include "eval/report/report_sections.h"
#include "eval/report/svg_chart.h"

namespace extrospect {

using nlohmann::ordered_json;

std::string KeyFigures(const ordered_json& report) {
  std::string cards;
  const auto add = [&](const std::string& value, const std::string& interval,
                       const std::string& what) {
    cards += "<div class=\"card\"><div class=\"n\">" + value + "</div><div class=\"w\">" +
             EscapeHtml(what) + "</div><div class=\"i\">" + interval + "</div></div>";
  };
  const std::string decoder = StringAt(report["verdict"], "decoder");
  const auto* const injected =
      FindGroup(report, "injected", "seen", decoder, "real", "after", "all");
  const auto* const natural = FindGroup(report, "natural", "test", decoder, "real", "", "");
  const auto share = [&](const ordered_json* group, const char* part, const char* name,
                         const std::string& what) {
    const ordered_json figure = FigureOf(group, part, name);
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
    const std::string subset = entry["subset"], dose = StringAt(entry, "dose_level");
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
    rows.push_back({"minus " + against,
                    {DotOf(top1, color, false, title + " minus " + against + "\n" + text)}});
    const ordered_json& top5 = entry["top5"];
    char five[64];
    std::snprintf(five, sizeof five, "%+.1f [%.1f, %.1f]", top5[0].get<double>() * 100,
                  top5[1].get<double>() * 100, top5[2].get<double>() * 100);
    table += "<tr>" + TableCell(title + " − " + against) +
             TableCell(std::to_string(entry["n_trials"].get<int64_t>())) +
             TableCell(std::to_string(entry["n_concepts"].get<int64_t>())) +
             TableCell(std::string(text)) + TableCell(std::string(five)) + "</tr>";
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
         HtmlFigure(DotChart(options, rows),
                    "Paired differences with 95 % bootstrap intervals (" +
                        std::to_string(resamples) +
                        " resamples of whole concepts, because trials of one concept are not "
                        "independent).") +
         "<details><summary>The figures</summary>" +
         HtmlTable({"difference", "trials", "concepts", "top-1, points", "top-5, points"}, table) +
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
      rows += "<tr>" + TableCell(decoder + ", dose " + level.name) +
              TableCell(FigureOf(after, "identification", "top1")) +
              TableCell(FigureOf(after, "identification", "top5")) +
              TableCell(FigureOf(whole, "identification", "top1")) +
              TableCell(FigureOf(whole, "identification", "top5")) + "</tr>";
    }
  }
  if (!rows.empty()) {
    out +=
        "<details><summary>By dose, behind the injection and over the whole "
        "content</summary><p class=\"note\">The second reading includes the tokens where the "
        "vector went in, some blocks later; it is the easier one and counts for no headline."
        "</p>" +
        HtmlTable({"decoder", "behind: top-1", "top-5", "whole: top-1", "top-5"}, rows) +
        "</details>\n";
  }
  return out;
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
    out += HtmlFigure(XyChart(options, series),
                      "How well a channel tells an injected trial from one at dose 0, whatever its "
                      "threshold; bands are 95 % intervals (DeLong).");
  }
  std::string rows;
  const auto add = [&](const ChannelLook& look, const ordered_json* group, const std::string& on) {
    if (group == nullptr || (*group)["detection"].is_null()) return;
    const ordered_json& d = (*group)["detection"];
    const ordered_json auroc = d["auroc"];
    rows += "<tr>" + ChannelCell({look.channel, look.name + ", " + on, look.color}) +
            TableCell(std::to_string(d["n_signal"].get<int64_t>()) + " / " +
                      std::to_string(d["n_noise"].get<int64_t>())) +
            TableCell(d["hit_rate"]) + TableCell(d["false_alarm_rate"]) +
            TableCell(NumberText(d["d_prime"])) +
            TableCell(auroc.is_null() ? "–"
                                      : NumberText(auroc[0]) + " [" + NumberText(auroc[1]) + ", " +
                                            NumberText(auroc[2]) + "]") +
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
    out += HtmlTable({"channel", "signal / noise", "hits", "false alarms", "d′", "AUROC"}, rows);
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
      if (!extra.contains(name)) return TableCell(std::string("–"));
      return TableCell(NumberText(extra[name][0]) + " [" + NumberText(extra[name][1]) + ", " +
                       NumberText(extra[name][2]) + "]");
    };
    protocol += "<tr>" + TableCell("dose " + level.name) + value("d detection") +
                value("d factual NO") + value("detection score") + value("inverted score") +
                value("match score") + "</tr>";
  }
  if (!protocol.empty()) {
    out +=
        "<details><summary>The YES/NO protocol in logits</summary><p class=\"note\">d is "
        "logit(YES) − logit(NO). Detection score: d on the detection question minus the mean d "
        "of factual questions whose answer is NO. Inverted: the same with the question turned "
        "round, so that noticing means NO. Match: d on “do you feel X?” with the injected X "
        "minus an unrelated one. If the model noticed anything, scores would rise with the "
        "dose.</p>" +
        HtmlTable(
            {"", "d detection", "d factual", "detection score", "inverted score", "match score"},
            protocol) +
        "</details>\n";
  }
  return out.empty() ? "" : "<h2>Detection</h2>\n" + out;
}

}  // namespace extrospect
