// Emotion vectors: directions in the residual stream, from differences of mean activations.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "eval/activation_table.h"
#include "records/lexicon.h"

namespace extrospect {

struct EmotionVectors {
  std::vector<std::string> concepts;
  std::vector<uint8_t> unseen;  // made of transcripts that are kept out of training altogether
  at::Tensor vectors;           // [concepts, d_model] float32, on the CPU; not normalised
};

// `transcripts` are those of the table, in its order, with the labels to go by. For every word of
// the lexicon (kNothing excluded) the mean of the rows of its train transcripts (of its `unseen`
// ones where training has none) minus the mean over all emotions' means. Hard transcripts are left
// out. `project_out` removes the leading principal components of the neutral train rows that
// explain this share of their variance (0: none). Words without a transcript have no vector.
// Source: "Emotion Concepts and their Function in a Large Language Model" (2026).
EmotionVectors MakeEmotionVectors(const ActivationTable& table,
                                  const std::vector<Transcript>& transcripts,
                                  const Lexicon& lexicon, const std::string& hook,
                                  const std::string& selection, double project_out);

}  // namespace extrospect
