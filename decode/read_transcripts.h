// Transcripts straight to readings: extraction in memory, then the decoder.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "decode/decoder.h"
#include "decode/html_timeline.h"
#include "decode/reader.h"
#include "extract/prepare.h"
#include "model/model.h"
#include "records/readings.h"
#include "records/transcripts.h"

namespace extrospect {

struct ReadTranscriptsOptions {
  ReadOptions read;         // of whole transcripts
  ReadOptions read_tokens;  // of single tokens, for which templates usually say enough
  PrepareOptions prepare;
  int64_t batch_tokens = 4096;
  bool per_token = false;  // readings of single tokens too, for the result or the timeline
  int64_t window = 8;      // tokens of the running pool, for decoders of pooled rows
};

struct TranscriptReadings {
  std::vector<Reading> whole;                // one a transcript, in order
  std::vector<Reading> tokens;               // of all tokens of messages' contents
  std::vector<TimelineTranscript> timeline;  // empty unless per_token
};

// The tokens of the decoder's selection, ascending. Throws Error naming the transcript if there are
// none.
std::vector<uint32_t> PositionsOf(const DecoderInfo& info, const Transcript& transcript,
                                  const PreparedTranscript& prepared);

// Works in parts, so that activations of all tokens are never in memory together. `progress` is
// called with the tokens of every batch. Interrupted, returns what was finished. Throws Error if
// model and decoder do not fit.
TranscriptReadings ReadTranscriptsWith(const Decoder& decoder, const LanguageModel& model,
                                       const std::vector<Transcript>& transcripts,
                                       const ReadTranscriptsOptions& options,
                                       const std::function<void(int64_t tokens)>& progress);

}  // namespace extrospect
