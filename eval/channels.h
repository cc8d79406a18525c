// Decoders as channels of an evaluation, with their controls.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "decode/decoder.h"
#include "eval/figures/trial_record.h"
#include "model/model.h"

namespace extrospect {

struct DecoderChannel {
  std::string name;  // the decoder's kind, or its folder's name where two are of one kind
  std::unique_ptr<Decoder> decoder;
  // A feeling counts as detected where 1 − p(nothing) is above this; see CalibrateDetection.
  double detect_above = 0.5;

  std::vector<int64_t> blocks() const;
  std::string hooks() const;  // joined by commas
};

// Opens decoder folders. Throws Error if one does not fit the activations' origin, or if two
// have different lexicons (every channel of a report chooses from the same words).
std::vector<DecoderChannel> OpenDecoders(const std::vector<std::string>& folders,
                                         const ActivationOrigin& origin,
                                         const std::vector<std::string>& hooks,
                                         const std::string& activation_file, at::Device device,
                                         std::shared_ptr<const LanguageModel> model);

// Sets detect_above so that at most 5 % of `neutral` rows [n, hooks, d_model] (dev transcripts
// without a feeling) are above it. Left as it is without rows.
void CalibrateDetection(DecoderChannel& channel, const at::Tensor& neutral,
                        const std::vector<std::string>& holders);

using RecordSink = std::function<void(const TrialRecord&)>;

// Reads rows [n, hooks, d_model] of n trials with the decoder, and again with each control in their
// place (for costly decoders on a part of the trials): zeroed; shuffled (the row of another trial
// of the same dose and another concept, drawn from the stream `stream`); random (a random direction
// of the same norm). `records` hold trial, reading and positions; the sink gets them filled.
// Sentences are written where `wants_sentence`.
void ReadWithControls(const DecoderChannel& channel, const at::Tensor& rows,
                      std::vector<TrialRecord> records, const std::vector<uint8_t>& wants_sentence,
                      uint64_t seed, const std::string& stream, const RecordSink& sink);

}  // namespace extrospect
