// Where the training of an oracle starts.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "base/config.h"
#include "decode/oracle/oracle.h"
#include "train/linear/stacked_reading.h"
#include "train/run.h"

namespace extrospect {

struct OracleStart {
  // Everything that is trained or fitted, float32, ready to be trained:
  //   oracle  LoRA matrices (a uniform as `peft` draws it, b zero), the maps of the input
  //   vector  vectors of zeros
  //   affine  a scale that gives centred rows the length of what they replace, and a shift to match
  // Input means are those of the training rows.
  OracleWeights weights;
  // What weighs the words in the input's vectors; none, if it has no such vectors.
  std::optional<StackedReading> reading;
};
OracleStart StartOracle(const TrainingData& data, const Config& config, const std::string& kind,
                        const OracleSpec& spec, const LanguageModel& model, MetricsLog& log);

// Of every class the residual stream after `block` where the model reads its word, [classes,
// d_model], centred over the classes: what a vector injected after that block would have to be to
// say the word outright. Words of several tokens count as the mean over their tokens.
at::Tensor WordRepresentations(const LanguageModel& model, const Lexicon& lexicon, int64_t block);

}  // namespace extrospect
