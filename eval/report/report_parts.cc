#include "eval/report/report_parts.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/html.h"
#include "eval/figures/verdict.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;

// A channel's figures in one line of a table.
std::string FigureRow(const ChannelLook& look, const ordered_json* group) {
  const auto figure = [&](const char* part, const char* name) {
    return FigureOf(group, part, name);
  };
  const ordered_json information = figure("identification", "information");
  return "<tr>" + ChannelCell(look) + TableCell(std::to_string((*group)["n"].get<int64_t>())) +
         TableCell(figure("identification", "top1")) + TableCell(figure("identification", "top5")) +
         TableCell(figure("identification", "near")) +
         TableCell(figure("identification", "family")) +
         TableCell(NumberText(figure("identification", "macro_f1"), 3)) +
         TableCell(information.is_null() ? "–" : NumberText(information["bits"])) + "</tr>";
}

}  // namespace

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

bool IsDecoder(const ordered_json& report, const std::string& channel) {
  const auto& decoders = report["summary_options"]["decoders"];
  return std::find(decoders.begin(), decoders.end(), channel) != decoders.end();
}

std::string MainReading(const ordered_json& report, const std::string& channel) {
  return IsDecoder(report, channel) ? "after" : "";
}

double Chance(const ordered_json& report) {
  return report.contains("lexicon") ? 1.0 / std::max(1.0, report["lexicon"]["words"].get<double>())
                                    : 1.0 / 171.0;
}

std::string StringAt(const ordered_json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? std::string() : found->get<std::string>();
}

ordered_json FigureOf(const ordered_json* group, const char* part, const char* name) {
  if (group == nullptr || !group->contains(part) || (*group)[part].is_null()) return nullptr;
  const ordered_json& object = (*group)[part];
  return object.contains(name) ? object[name] : ordered_json(nullptr);
}

std::string NumberText(const ordered_json& number, int decimals) {
  if (number.is_null()) return "–";
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", decimals, number.get<double>());
  return text;
}

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

std::string TableCell(const ordered_json& estimate) {
  if (estimate.is_null()) return "<td>–</td>";
  return "<td>" + PercentText(estimate) + "<span class=\"i\">" + IntervalText(estimate) +
         "</span></td>";
}
std::string TableCell(const std::string& text) { return "<td>" + EscapeHtml(text) + "</td>"; }

std::string ChannelCell(const ChannelLook& look) {
  return "<td><span class=\"swatch c" + std::to_string(look.color) + "\"></span>" +
         EscapeHtml(look.name) + "</td>";
}

std::string HtmlTable(const std::vector<std::string>& heads, const std::string& rows) {
  std::string out = "<div class=\"table\"><table><thead><tr>";
  for (const std::string& head : heads) out += "<th>" + head + "</th>";
  return out + "</tr></thead><tbody>" + rows + "</tbody></table></div>\n";
}

std::string HtmlFigure(const std::string& svg, const std::string& caption,
                       const std::string& style) {
  return "<figure" + (style.empty() ? "" : " class=\"" + style + "\"") + "><div class=\"scroll\">" +
         svg + "</div><figcaption>" + caption + "</figcaption></figure>\n";
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
  return HtmlTable(
      {"channel", "n", "top-1", "top-5", "right or near", "family", "macro-F1", "bits"}, rows);
}

DotValue DotOf(const ordered_json& estimate, int color, bool hollow, const std::string& tip) {
  return {estimate[0], estimate[1], estimate[2], color, hollow, tip};
}

}  // namespace extrospect
