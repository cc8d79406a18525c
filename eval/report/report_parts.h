// What the sections of report.html are put together from. Internal to the report.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "eval/report/svg_chart.h"

namespace extrospect {

// Channels by their place in the report: name for readers and colour.
struct ChannelLook {
  std::string channel, name;
  int color = 9;
};
// Decoders first, then self-reports, then readers of text, then floors.
std::vector<ChannelLook> ChannelLooks(const nlohmann::ordered_json& report);

bool IsDecoder(const nlohmann::ordered_json& report, const std::string& channel);
// The reading in which a channel is judged on injected trials.
std::string MainReading(const nlohmann::ordered_json& report, const std::string& channel);
// Of naming the right emotion by guessing.
double Chance(const nlohmann::ordered_json& report);

// The text under a key; "" where there is none.
std::string StringAt(const nlohmann::ordered_json& object, const char* key);
// A figure of a group ("identification", "top1"); null where there is none.
nlohmann::ordered_json FigureOf(const nlohmann::ordered_json* group, const char* part,
                                const char* name);

// Of null: "–".
std::string NumberText(const nlohmann::ordered_json& number, int decimals = 2);
// "34.1 %" and "[31.0, 37.3]" of an estimate; "–" and nothing where it is null.
std::string PercentText(const nlohmann::ordered_json& estimate);
std::string IntervalText(const nlohmann::ordered_json& estimate);

// HTML. Texts are escaped, but for captions and heads, which are the report's own.
std::string TableCell(const nlohmann::ordered_json& estimate);
std::string TableCell(const std::string& text);
std::string ChannelCell(const ChannelLook& look);
std::string HtmlTable(const std::vector<std::string>& heads, const std::string& rows);
std::string HtmlFigure(const std::string& svg, const std::string& caption,
                       const std::string& style = "");
// Of every channel with such trials; "" if there is none. dose: "" for natural ones.
std::string FigureTable(const nlohmann::ordered_json& report, const std::string& truth,
                        const std::string& subset, const std::string& dose);

DotValue DotOf(const nlohmann::ordered_json& estimate, int color, bool hollow,
               const std::string& tip);

}  // namespace extrospect
