// Which hooks and which tokens carry the labels best: a quick closed-form probe for each, judged on
// dev.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "base/config.h"
#include "train/dataset.h"
#include "train/judge.h"
#include "train/loop/metrics_log.h"

namespace extrospect {

struct SweepEntry {
  std::string selection;
  std::vector<std::string> hooks;
  Judgement dev;  // calibrated on dev
};

// What a decoder is to read.
struct RowChoice {
  std::vector<std::string> hooks;
  std::string selection;
  std::string pool;
  std::vector<SweepEntry> tried;
};

// Settles what the configuration leaves to "auto". Nothing is tried where nothing is left open.
// Every entry goes to the log as event "sweep"; progress and the table go to `progress`.
RowChoice ChooseRows(const ActivationReader& reader, const LabelledTranscripts& transcripts,
                     const Config& config, at::Device device, MetricsLog& log, std::FILE* progress);

}  // namespace extrospect
