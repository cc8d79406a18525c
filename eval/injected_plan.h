// Which vectors go into which transcripts: the trial list of the injected half.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "eval/injection.h"
#include "eval/run.h"
#include "eval/vectors.h"

namespace extrospect {

struct InjectedPlan {
  int64_t block = 0;  // vectors are added after it
  std::vector<size_t>
      transcripts;  // indices into EvalSetup::transcripts: neutral, of the test split
  std::vector<PreparedTranscript> prepared;  // the same
  std::vector<InjectionSpan> spans;
  std::vector<InjectedTrial> trials;
  at::Tensor directions;      // [concepts + random ones, d_model], of norm 1
  std::vector<double> norms;  // of the raw emotion vectors
  std::vector<std::string> concepts;
  int64_t n_seen = 0, n_unseen = 0;
  double mean_norm = 0.0;  // of the residual stream at the block over content tokens
};

// Every concept meets `trials` transcripts, each at every dose. Transcripts are prepared as those
// of the activation file were; those that leave no room for a question behind them are left out.
// Throws Error if there are no neutral test transcripts or the file does not hold the block,
// UsageError if a decoder reads at or before it or EvalOptions::Injected::block names none.
InjectedPlan PlanInjected(const EvalSetup& setup);

}  // namespace extrospect
