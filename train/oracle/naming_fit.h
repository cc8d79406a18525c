// The linear reading that an oracle names feelings with, beside its answers, and its share in that.
#pragma once

#include <ATen/core/Tensor.h>

#include "base/config.h"
#include "decode/oracle/naming_reading.h"
#include "train/loop/metrics_log.h"
#include "train/run.h"

namespace extrospect {

// Fitted to the training rows as a probe of the default configuration is, in the time that one
// takes, and kept on `device`. There are no checkpoints: a resumed run fits it anew, to the same
// bits.
NamingReading FitNamingReading(const TrainingRun& run, const TrainingData& data, at::Device device,
                               MetricsLog& log);

// Whether `config` (of an oracle) has a share above 0 to try.
bool SharesNaming(const Config& config);

// Of the shares in `config` the one by which dev's cross-entropy is least, each at its best
// temperature. answers: [n, classes] float32, log-probabilities of the dev rows; reading: of the
// same.
double BestReadingShare(const at::Tensor& answers, const NamingScores& reading,
                        const Config& config, const TrainingData& data, MetricsLog& log);

}  // namespace extrospect
