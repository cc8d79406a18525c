// Activations of every token of some transcripts, in memory.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "decode/decoder.h"
#include "extract/prepare.h"
#include "model/model.h"
#include "records/transcripts.h"

namespace extrospect {

// Throws Error, naming both sides, unless the decoder can read activations of the model.
void CheckFitsModel(const DecoderInfo& info, const LanguageModel& model);

struct TokenRows {
  std::vector<PreparedTranscript> transcripts;
  std::vector<int64_t> first;  // of each transcript: the row of its first token
  at::Tensor rows;             // [tokens, hooks, d_model] float32, hooks in the decoder's order
};

// `progress` (may be empty) is called with the tokens of every batch.
TokenRows ExtractTokenRows(const DecoderInfo& info, const LanguageModel& model,
                           const std::vector<Transcript>& transcripts,
                           const PrepareOptions& prepare, int64_t batch_tokens,
                           const std::function<void(int64_t tokens)>& progress);

}  // namespace extrospect
