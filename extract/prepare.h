// Transcripts to token ids, with the places that are to be read.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "extract/selection.h"
#include "model/model.h"
#include "records/transcripts.h"

namespace extrospect {

enum class TranscriptFormat { kChat, kRaw };
enum class Truncate { kNone, kLeft, kRight };

struct PreparedTranscript {
  std::vector<int32_t> tokens;
  std::vector<MessageSpan> messages;  // token spans of the contents; raw text is one of role "text"
  bool raw = false;                   // plain text, and no chat template around it
};

// By the names that flags and files have for them; anything else is the default.
TranscriptFormat ParseFormat(std::string_view name);
std::string FormatName(TranscriptFormat format);
Truncate ParseTruncate(std::string_view name);

struct PrepareOptions {
  TranscriptFormat format = TranscriptFormat::kChat;
  // What becomes of a transcript that is longer than the model's context: an error, or its left
  // (oldest) or right end is cut off.
  Truncate truncate = Truncate::kNone;
};

// What an activation file's transcripts were prepared with, by the JSON that it keeps of its run
// (ActivationOrigin::config); the defaults where that does not say.
PrepareOptions PrepareOptionsOf(const std::string& run_config);

// Renders (chat) or takes as it is (raw text), and tokenizes. Throws Error naming the transcript.
PreparedTranscript Prepare(const LanguageModel& model, const Transcript& transcript,
                           const PrepareOptions& options);

// The longest run of first tokens that at least half of the transcripts share, short of every
// sharer's last token; what a system prompt makes. Empty if it is not worth sharing.
std::vector<int32_t> SharedPrefix(std::span<const PreparedTranscript> transcripts);

// Groups sequences into batches of at most `batch_tokens` tokens (a longer one is alone), longest
// first, so that batches hold like with like and memory runs out early or never. Returns indices
// into `lengths`; the same lengths give the same batches.
std::vector<std::vector<uint32_t>> PlanBatches(std::span<const uint32_t> lengths,
                                               int64_t batch_tokens);

// Cuts sequences, in their order, into parts of about equal length, each of several batches.
// Returns the first index of each part. The same lengths give the same parts.
std::vector<uint32_t> PlanParts(std::span<const uint32_t> lengths, int64_t batch_tokens);

}  // namespace extrospect
