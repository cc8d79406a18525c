// The fit of a linear reading of the classes: closed form, then gradient.
#pragma once

#include <cstdint>

#include "base/config.h"
#include "decode/probe.h"
#include "records/lexicon.h"
#include "train/linear/discriminant.h"
#include "train/loop/loop.h"
#include "train/loop/metrics_log.h"

namespace extrospect {

struct ProbeFit {
  ProbeWeights weights;   // of standardised rows; nothing but the reading of classes is filled in
  int64_t best_step = 0;  // of the gradient solver, whose parameters they are
};

// Fits standardised rows (float32, on one device) as config.solver says (options of the kind
// "probe"): a discriminant analysis chosen on dev, refined by gradient on the cross-entropy. `loop`
// says where checkpoints and progress go; the configuration says the rest.
ProbeFit FitProbe(const Lexicon& lexicon, const ProbeData& data, const Config& config,
                  LoopOptions loop, MetricsLog& log);

}  // namespace extrospect
