// Transcripts to activations.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "extract/prepare.h"
#include "extract/selection.h"
#include "model/model.h"
#include "records/activations.h"
#include "records/transcripts.h"

namespace extrospect {

struct ExtractOptions {
  std::vector<int64_t> blocks;        // see ParseLayers; kEmbeddingBlock is the embedding output
  std::vector<Selection> selections;  // pooled: one row each; unpooled: exactly one selection
  bool pool_mean = false;             // mean over the selected tokens instead of a row for each
  PrepareOptions prepare;
  int64_t batch_tokens = 4096;  // new tokens in one forward pass
};

// Receives rows as they are computed, in any order. Calls come from one thread at a time.
class RowSink {
 public:
  virtual ~RowSink() = default;
  // Rows [first_row, first_row + rows.size(0)) of hook number `hook`: [n, d_model] float32 on the
  // CPU.
  virtual void Write(size_t hook, uint64_t first_row, const at::Tensor& rows) = 0;
  // Everything of these transcripts has been written.
  virtual void Done(const std::vector<uint32_t>& transcripts) = 0;
};

// What is to be computed: fixed before the first forward pass, so that every row has its place.
struct ExtractPlan {
  std::vector<PreparedTranscript> transcripts;
  // Selected positions, per transcript and row: a span that is averaged, or one token.
  std::vector<std::vector<std::vector<uint32_t>>> rows;
  std::vector<uint8_t> selection;  // of every row of the layout
  std::vector<int32_t> prefix;     // computed once
  std::vector<uint8_t> has_prefix;
  // The first transcript of every part, ascending from 0. Batches never reach from one part into
  // another, so that parts can be computed anywhere, in any order, to the same bytes.
  std::vector<uint32_t> parts;
  std::vector<std::vector<uint32_t>> batches;  // those with the longest transcripts first
  ActivationLayout layout;
};

ExtractPlan PlanExtraction(const LanguageModel& model, const std::vector<Transcript>& transcripts,
                           const ExtractOptions& options);

// Runs the batches that hold a transcript with done[i] == 0. The sink works on a thread of its own,
// so that the forward pass never waits for the disk. `progress` is called with the tokens of every
// batch. Throws the sink's Error, and on values that are not finite one that names the transcript.
void RunExtraction(const LanguageModel& model, const ExtractPlan& plan,
                   const ExtractOptions& options, const std::vector<uint8_t>& done, RowSink& sink,
                   const std::function<void(int64_t tokens)>& progress);

// Everything in memory: [rows, blocks, d_model] float32 on the CPU.
at::Tensor ExtractRows(const LanguageModel& model, const ExtractPlan& plan,
                       const ExtractOptions& options,
                       const std::function<void(int64_t tokens)>& progress);

}  // namespace extrospect
