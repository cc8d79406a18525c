#include "eval/report/report.h"

#include "base/hash.h"
#include "eval/report/report_markdown.h"

namespace extrospect {

TrialWriter::TrialWriter(const std::filesystem::path& folder) : file_(folder / "trials.jsonl") {}

void TrialWriter::Add(const TrialRecord& record) {
  file_.Write(ToJson(record) + "\n");
  ++count_;
}

void TrialWriter::Finish() { file_.Commit(); }

nlohmann::ordered_json WriteReport(const std::filesystem::path& folder,
                                   nlohmann::ordered_json about, const SummaryOptions& options,
                                   const TranscriptTexts& texts) {
  const auto trials = folder / "trials.jsonl";
  const std::vector<TrialRecord> records = ReadTrialRecords(trials);
  nlohmann::ordered_json report;
  report["format"] = "extrospect.report";
  report["format_version"] = 1;
  report.update(about);
  report["trials"] = {
      {"file", "trials.jsonl"}, {"lines", records.size()}, {"sha256", Sha256HexOfFile(trials)}};
  report["summary_options"] = {
      {"decoders", options.decoders},           {"text_channel", options.text_channel},
      {"self_channels", options.self_channels}, {"bootstrap", options.bootstrap},
      {"shuffles", options.shuffles},           {"seed", options.seed}};
  const nlohmann::ordered_json summary = Summarize(records, options);
  report["verdict"] = summary["verdict"];
  report["comparisons"] = summary["comparisons"];
  report["groups"] = summary["groups"];
  WriteFileAtomically(folder / "report.json", report.dump(1) + "\n");
  WriteFileAtomically(folder / "report.md", ReportMarkdown(report));
  WriteFileAtomically(folder / "report.html", ReportHtml(report, records, texts));
  return report;
}

}  // namespace extrospect
