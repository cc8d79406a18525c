#include "eval/report_html.h"
namespace extrospect {
std::string EscapeHtml(std::string_view text) { return std::string(text); }
std::string ReportHtml(const nlohmann::ordered_json&, const std::vector<TrialRecord>&,
                       const TranscriptTexts&) {
  return "";
}
}  // namespace extrospect
