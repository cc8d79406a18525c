// One person asking a decoder about one transcript after another: which tokens are meant, their
// activations, and the answers.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "decode/decoder.h"
#include "extract/prepare.h"
#include "model/model.h"
#include "records/readings.h"
#include "records/transcripts.h"

namespace extrospect {

struct AskOptions {
  PrepareOptions prepare;
  int64_t batch_tokens = 4096;
  int64_t samples = 0;  // see ReadOptions
  uint64_t seed = 0;
};

// Everything that the user may get wrong throws UsageError and changes nothing.
class AskSession {
 public:
  // Both must outlive the session. Throws Error unless the decoder answers questions and fits the
  // model, and if there is no transcript. Begins with the one of this id, or the first.
  AskSession(const Decoder& decoder, const LanguageModel& model,
             std::vector<Transcript> transcripts, const AskOptions& options,
             const std::string& id = "");

  const std::vector<Transcript>& transcripts() const { return transcripts_; }
  const Transcript& transcript() const { return transcripts_[current_]; }
  const PreparedTranscript& prepared() const { return prepared_; }
  // The text of one token.
  std::string TokenText(uint32_t position) const;

  // Goes to another transcript, and to the tokens that the decoder was trained on.
  void Use(const std::string& id);
  // Tokens first … last, both included.
  void SelectSpan(uint32_t first, uint32_t last);
  // "FIRST:LAST", or one position.
  void SelectSpan(const std::string& text);
  // By name: "content", "role:user", …
  void SelectTokens(const std::string& selection);
  // What is selected, ascending; never empty.
  const std::vector<uint32_t>& positions() const { return positions_; }

  // Of a decoder that was trained on pooled rows, one answer about the selected tokens together; of
  // others, one about every selected token. An empty question is the decoder's own. Throws Error.
  std::vector<Reading> Ask(const std::string& question);

 private:
  void Go(size_t transcript);
  std::vector<uint32_t> Positions(const std::string& selection, size_t transcript,
                                  const PreparedTranscript& prepared) const;

  const Decoder& decoder_;
  const LanguageModel& model_;
  std::vector<Transcript> transcripts_;
  AskOptions options_;
  size_t current_ = 0;
  PreparedTranscript prepared_;
  std::vector<uint32_t> positions_;
  at::Tensor rows_;  // [tokens, hooks, d_model] of the current transcript; undefined until asked
};

}  // namespace extrospect
