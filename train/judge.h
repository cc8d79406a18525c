// How good predictions are, and their calibration. Chosen on dev, told about the rest.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "records/lexicon.h"

namespace extrospect {

// Of n rows. Fractions are 0 … 1.
struct Judgement {
  int64_t n = 0;
  double top1 = 0.0;
  double top5 = 0.0;
  double near = 0.0;           // top-1, where a near miss counts half
  double macro_f1 = 0.0;       // mean F1 of the classes that occur among the labels
  double cross_entropy = 0.0;  // nats, against the targets
  double chance_top1 = 0.0;    // always guessing the commonest class of these rows
  double chance_top5 = 0.0;    // the five commonest

  nlohmann::ordered_json ToJson() const;
};

// The mean, over the classes that occur among the labels, of F1 = 2·hits / (labels + guesses):
// every class counts the same, however rare. label, guess: [n] int64, 0 … classes − 1. Without
// rows, 0.
double MacroF1(const at::Tensor& label, const at::Tensor& guess, int64_t classes);

// log_p: [n, classes]; label: [n] int64, the main class; targets: [n, classes].
Judgement Judge(const Lexicon& lexicon, const at::Tensor& log_p, const at::Tensor& label,
                const at::Tensor& targets);

// BestTemperature of logits [n, classes] by their cross-entropy against the targets.
double FitTemperature(const at::Tensor& logits, const at::Tensor& targets);

// Expected calibration error of the top class; NaN without rows.
double CalibrationError(const at::Tensor& log_p, const at::Tensor& label);

// When to abstain: `below` for DecoderInfo::abstain_below, and what it leads to on the rows it was
// chosen on.
struct Abstention {
  double below = 0.0;
  double false_alarms = 0.0;  // of rows labelled "nothing to report", those with a feeling read
  double hits = 0.0;          // of the other rows, those with a feeling read
};

// The lowest threshold at which at most `max_false_alarms` of the rows labelled `nothing` are read
// as a feeling. Without such rows, 0.
Abstention FitAbstention(const at::Tensor& log_p, const at::Tensor& label, int64_t nothing,
                         double max_false_alarms);

}  // namespace extrospect
