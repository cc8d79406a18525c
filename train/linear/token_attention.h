// Learns which tokens of a transcript to read.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdio>
#include <vector>

#include "base/config.h"
#include "base/ranks.h"
#include "records/activations.h"
#include "train/dataset.h"
#include "train/loop/metrics_log.h"

namespace extrospect {

// The options "attention.*".
std::vector<ConfigOption> TokenAttentionOptions();

// Fits the query of source.token_pool and returns the rows pooled by it; what reads them best is
// then for a kind to find out. In turns, a closed-form reading is fitted to the rows pooled so far,
// and the query moves to where the cross-entropy of the labels under that reading is least, each
// transcript read by a reading that was fitted without its situation: about its own rows a reading
// is nearly always right, however they are pooled. Begins with the mean. What dev likes best stays;
// if that is the mean, or if no transcript has more than one token, source.pool says so.
//
// Tokens come from the file a step at a time, so that they need not fit into memory. All ranks end
// with the query of rank 0. Each turn is logged as event "attention".
RowSet FitTokenAttention(const ActivationReader& reader, const LabelledTranscripts& transcripts,
                         const Config& config, at::Device device, const Ranks& ranks,
                         RowSource& source, MetricsLog& log, std::FILE* progress);

}  // namespace extrospect
