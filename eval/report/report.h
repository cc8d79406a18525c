// The report folder: trials.jsonl, report.json, report.md and report.html.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/file.h"
#include "eval/figures/summary.h"
#include "eval/report/report_html.h"

namespace extrospect {

// Writes trials.jsonl line by line; it appears under its name with Finish().
class TrialWriter {
 public:
  explicit TrialWriter(const std::filesystem::path& folder);
  void Add(const TrialRecord& record);
  void Finish();
  int64_t count() const { return count_; }

 private:
  AtomicFile file_;
  int64_t count_ = 0;
};

// Reads trials.jsonl again, so that every figure is one of the file's, and writes the rest of the
// folder. `about` (command, configuration, model, files, design) stands before the figures in
// report.json. Returns the content of report.json.
nlohmann::ordered_json WriteReport(const std::filesystem::path& folder,
                                   nlohmann::ordered_json about, const SummaryOptions& options,
                                   const TranscriptTexts& texts);

}  // namespace extrospect
