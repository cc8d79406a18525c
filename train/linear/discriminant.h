// The best closed-form reading of the classes: what the probe begins with, and what an oracle's
// joint vector is made from.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "records/lexicon.h"
#include "train/dataset.h"
#include "train/judge.h"
#include "train/linear/linear.h"
#include "train/linear/standardise.h"
#include "train/loop/metrics_log.h"

namespace extrospect {

// Features [n, F] and targets of the two splits that fitting sees.
struct ProbeData {
  at::Tensor train, train_targets, dev, dev_targets, dev_label;
};

// Of the rows of a set, hooks side by side.
ProbeData ProbeDataOf(const RowSet& set);

// The same with standardised features.
ProbeData Standardised(const ProbeData& data, const Standardiser& standardise);

// Of logits / temperature on dev.
Judgement JudgeLogits(const Lexicon& lexicon, const at::Tensor& logits, double temperature,
                      const ProbeData& data);

// A discriminant analysis whose scores are divided by a temperature.
struct Discriminant {
  LinearMap map;
  double shrinkage = 0, pull = 0, temperature = 1;
};

// Tries all shrinkages and pulls (see DiscriminantAnalysis) on standardised features, logging each
// as `event`. The one whose cross-entropy on dev is least wins, at the temperature that fits it
// there.
Discriminant BestDiscriminant(const Lexicon& lexicon, const ProbeData& data,
                              const std::vector<double>& shrinkages,
                              const std::vector<double>& pulls, const std::string& event,
                              MetricsLog& log);

}  // namespace extrospect
