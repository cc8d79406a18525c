// Which hooks and which tokens carry the labels best: a quick closed-form probe for each, judged on
// dev.
#pragma once

#include <cstdio>

#include "base/config.h"
#include "train/dataset.h"
#include "train/loop/metrics_log.h"

namespace extrospect {

// Settles what the configuration leaves to "auto": hooks, selection and pool. Nothing is tried
// where nothing is left open; what is tried is read by means, where the pool is attention. Every
// entry goes to the log as event "sweep"; progress and the table go to `progress`.
RowSource ChooseRows(const ActivationReader& reader, const LabelledTranscripts& transcripts,
                     const Config& config, at::Device device, MetricsLog& log, std::FILE* progress);

}  // namespace extrospect
