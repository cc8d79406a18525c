#include "eval/report/report_html.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "eval/report/dose_chart.h"
#include "eval/report/report_sections.h"
#include "eval/report/report_style.h"
#include "eval/report/svg_chart.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;

constexpr size_t kExamplesOfAKind = 3;
constexpr size_t kBars = 5;

std::string Paragraph(const ordered_json& text, const char* style) {
  const auto words = text.get<std::string>();
  return words.empty() ? ""
                       : "<p class=\"" + std::string(style) + "\">" + EscapeHtml(words) + "</p>\n";
}

std::string Verdict(const ordered_json& report) {
  const ordered_json& verdict = report["verdict"];
  std::string out = "<h1>" + EscapeHtml(verdict["sentence"].get<std::string>()) + "</h1>\n";
  if (!verdict["interpretable"].get<bool>()) {
    out +=
        "<div class=\"callout\"><p><strong>This run cannot be taken at its word:</strong></p>"
        "<ul>";
    for (const auto& problem : verdict["problems"]) {
      out += "<li>" + EscapeHtml(problem.get<std::string>()) + "</li>";
    }
    out += "</ul></div>\n";
  }
  return out;
}

std::string Notes(const ordered_json& report) {
  const ordered_json& verdict = report["verdict"];
  std::string out;
  out += Paragraph(verdict["whole"], "lead");
  if (verdict["natural"] != verdict["sentence"]) out += Paragraph(verdict["natural"], "lead");
  for (const auto& note : verdict["notes"]) out += Paragraph(note, "note");
  if (verdict["interpretable"].get<bool>()) {
    out +=
        "<div class=\"callout good\"><p>Every control is there, false alarms are below 10 %, "
        "and without the right activations identification falls to less than half, by more than "
        "chance explains.</p>"
        "</div>\n";
  }
  return out;
}

// One reading: what was there, what was read, and the text.
std::string Example(const TrialRecord& record, const std::string& text) {
  const Trial& trial = record.trial;
  std::string head = trial.injected()
                         ? (trial.concept_word.empty() ? "a random direction"
                                                       : "injected: " + trial.concept_word) +
                               " at dose " + trial.dose_level
                         : "meant: " + trial.concept_word;
  std::string out = "<div class=\"example\"><div class=\"top\"><b>" + EscapeHtml(head) +
                    "</b><span>" + EscapeHtml(trial.holder) + "</span>";
  if (std::isfinite(record.rank)) {
    char rank[48];
    std::snprintf(rank, sizeof rank, "rank %g", record.rank);
    out += "<span class=\"badge\">" + std::string(record.rank <= 1 ? "named exactly" : rank) +
           "</span>";
  }
  if (record.abstained) out += "<span class=\"badge\">abstained</span>";
  out += "<span class=\"badge\">" + EscapeHtml(trial.transcript) + "</span></div>\n<blockquote>" +
         EscapeHtml(text) + "</blockquote>\n";
  if (!record.text.empty()) {
    out += "<div class=\"said\">" + EscapeHtml(record.channel) +
           " decoder: " + EscapeHtml(record.text) + "</div>\n";
  }
  out += "<div class=\"bars\">";
  for (size_t i = 0; i < std::min(kBars, record.top.size()); ++i) {
    const EmotionProbability& item = record.top[i];
    const bool hit =
        std::find(trial.labels.begin(), trial.labels.end(), item.name) != trial.labels.end();
    char width[32], share[32];
    std::snprintf(width, sizeof width, "%.1f%%", std::clamp(item.p, 0.0, 1.0) * 100);
    std::snprintf(share, sizeof share, "%.1f %%", item.p * 100);
    out += "<span" + std::string(hit ? " class=\"hit\"" : "") + ">" + EscapeHtml(item.name) +
           "</span><span><i style=\"width:" + width + "\"></i></span><span>" + share + "</span>";
  }
  return out + "</div></div>\n";
}

// Best, median and worst readings of the decoder that the verdict is about, of those that carry a
// sentence.
std::string Examples(const ordered_json& report, const std::vector<TrialRecord>& records,
                     const TranscriptTexts& texts) {
  const auto decoder = report["verdict"].value("decoder", std::string());
  std::string out;
  for (const bool injected : {false, true}) {
    std::vector<const TrialRecord*> candidates;
    for (const TrialRecord& record : records) {
      if (record.channel != decoder || record.variant != "real" || record.text.empty() ||
          !std::isfinite(record.rank) || record.trial.injected() != injected ||
          !record.trial.signal() || !texts.contains(record.trial.transcript)) {
        continue;
      }
      candidates.push_back(&record);
    }
    if (candidates.empty()) continue;
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const TrialRecord* a, const TrialRecord* b) {
                       return a->rank != b->rank ? a->rank < b->rank : a->p_truth > b->p_truth;
                     });
    const size_t n = candidates.size(), k = std::min(kExamplesOfAKind, n);
    const auto show = [&](const char* title, size_t first) {
      out += "<h3>" + std::string(title) + (injected ? ", injected" : ", natural") + "</h3>\n";
      for (size_t i = first; i < std::min(first + k, n); ++i) {
        out += Example(*candidates[i], texts.at(candidates[i]->trial.transcript));
      }
    };
    show("The best", 0);
    if (n >= 3 * k) {
      show("In the middle", (n - k) / 2);
      show("The worst", n - k);
    }
  }
  return out.empty() ? ""
                     : "<h2>Readings</h2>\n<p>Of the " + EscapeHtml(decoder) +
                           " decoder, sorted by the rank that it gave the truth; what is "
                           "shown is the extremes and the middle, not a choice.</p>\n" +
                           out;
}

std::string Provenance(const ordered_json& report) {
  std::string out = "<h2>How to repeat it</h2>\n";
  if (report.contains("command")) {
    out += "<pre>" + EscapeHtml(report["command"].get<std::string>()) + "</pre>\n";
  }
  std::string rows;
  const auto add = [&](const std::string& what, const std::string& name, const std::string& hash) {
    rows += "<tr><td>" + EscapeHtml(what) + "</td><td style=\"text-align:left\">" +
            EscapeHtml(name) + "</td><td class=\"hash\">" + EscapeHtml(hash) + "</td></tr>";
  };
  if (report.contains("files")) {
    for (const auto& file : report["files"]) add(file["what"], file["name"], file["sha256"]);
  }
  add("trials",
      "trials.jsonl, " + std::to_string(report["trials"]["lines"].get<int64_t>()) + " lines",
      report["trials"]["sha256"]);
  out +=
      "<div class=\"table\"><table><thead><tr><th>file</th><th style=\"text-align:left\">name"
      "</th><th style=\"text-align:left\">SHA-256</th></tr></thead><tbody>" +
      rows + "</tbody></table></div>\n";
  out +=
      "<p class=\"note\">Every figure on this page can be recomputed from trials.jsonl alone "
      "(tools/recompute_report.py does).</p>\n";
  for (const auto& [key, title] :
       {std::pair{"config", "Configuration"}, std::pair{"design", "The injected trials as run"},
        std::pair{"decoders", "Decoders"},
        std::pair{"text_reader", "The text-only reader on dev"}}) {
    if (!report.contains(key) || report[key].is_null()) continue;
    out += "<details><summary>" + std::string(title) + "</summary><pre>" +
           EscapeHtml(report[key].dump(1)) + "</pre></details>\n";
  }
  return out;
}

}  // namespace

std::string ReportHtml(const ordered_json& report, const std::vector<TrialRecord>& records,
                       const TranscriptTexts& texts) {
  std::string model;
  if (report.contains("model")) {
    model = report["model"]["name"].get<std::string>() + ", " +
            std::to_string(report["model"]["n_layers"].get<int64_t>()) + " blocks";
  }
  std::string out =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">"
      "<link rel=\"icon\" href=\"data:,\">"
      "<title>Extrospect report</title>\n<style>" +
      std::string(kReportStyle) + "</style></head>\n<body><main>\n";
  out += "<p class=\"kicker\"><b>Extrospect</b>" + EscapeHtml(model) + "</p>\n";
  out += Verdict(report);
  out += DoseChart(report);
  out += Notes(report);
  out += KeyFigures(report);
  out += DifferenceSection(report);
  out += InjectedSection(report);
  out += NaturalSection(report);
  out += ConfusionSection(report, records);
  out += CalibrationSection(report);
  out += DetectionSection(report);
  out += ControlSection(report);
  out += UnseenAndHardSection(report);
  out += AffectSection(report, records);
  out += Examples(report, records, texts);
  out += Provenance(report);
  if (report.contains("created_by")) {
    out +=
        "<footer>Made by " + EscapeHtml(report["created_by"].get<std::string>()) + ".</footer>\n";
  }
  out += "</main><div id=\"tip\" role=\"status\"></div>\n<script>" + std::string(kReportScript) +
         "</script></body></html>\n";
  return out;
}

}  // namespace extrospect
