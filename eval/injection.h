// Transcripts with a vector added to the residual stream of some of their tokens, computed so that
// a sweep pays only for what differs.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "decode/token_pool.h"
#include "eval/figures/trial_record.h"
#include "extract/prepare.h"
#include "extract/selection.h"
#include "model/model.h"

namespace extrospect {

// Positions where a vector is added, and those behind them where it may be read.
struct InjectionSpan {
  std::vector<uint32_t> positions;  // content tokens; ascending
  std::vector<uint32_t> after;      // the content tokens that follow
};

// The first `share` of the content tokens, at least one, and at least one left after it. Empty
// positions if the transcript has fewer than two content tokens.
InjectionSpan MakeSpan(const PreparedTranscript& prepared, double share);

// Rows to read: the selected positions of the residual stream after each block, pooled.
struct ReadSpec {
  std::vector<int64_t> blocks;
  Selection selection = Selection::Parse("content");
  bool after_only = false;  // only positions behind the span
  TokenPool pool = {};      // of [positions, blocks, d_model]
};

struct InjectedTrial {
  Trial trial;
  size_t transcript = 0;   // index into the runner's transcripts
  int64_t direction = -1;  // row of the runner's directions; −1: nothing is added
  double norm = 0.0;       // of what is added
};

// What a trial leaves behind. Valid during the callback only.
struct InjectedBatch {
  std::vector<const InjectedTrial*> trials;
  // The keys and values of the whole transcript, injection included; by trial.
  std::vector<std::vector<std::shared_ptr<const KvSegment>>> past;
  // By ReadSpec: [trials, blocks, d_model] float32 on the CPU.
  std::vector<at::Tensor> rows;
  // By ReadSpec and trial: first and last position that was read; equal to (0, 0) with
  // read[spec][trial] == 0 if the selection left nothing to read.
  std::vector<std::vector<std::pair<uint32_t, uint32_t>>> positions;
  std::vector<std::vector<uint8_t>> read;
};

struct InjectionRun {
  int64_t block = 0;            // vectors are added after this block
  at::Tensor directions;        // [n, d_model] float32 of norm 1
  std::vector<ReadSpec> reads;  // all blocks above `block`
  bool whole_depth = true;      // keys and values of all blocks are wanted
  int64_t batch_tokens = 4096;
};

// Runs trials, in order of their transcripts. For each transcript the blocks up to the injection,
// and the tokens before it, are computed once; every trial restarts from the residual stream there.
// Trials that add nothing reuse the clean pass itself. `spans` has one entry a transcript.
void RunInjections(const LanguageModel& model, const std::vector<PreparedTranscript>& transcripts,
                   const std::vector<InjectionSpan>& spans,
                   const std::vector<InjectedTrial>& trials, const InjectionRun& run,
                   const std::function<void(const InjectedBatch&)>& take);

// The mean norm of the residual stream after `block` over the transcripts' content tokens.
double MeanContentNorm(const LanguageModel& model,
                       const std::vector<PreparedTranscript>& transcripts, int64_t block,
                       int64_t batch_tokens);

}  // namespace extrospect
