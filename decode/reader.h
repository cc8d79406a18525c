// From activation rows to readings: what `extrospect decode` does, without files.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "decode/activation_rows.h"
#include "decode/decoder.h"
#include "records/readings.h"
#include "records/transcripts.h"

namespace extrospect {

struct ReadOptions {
  int64_t top = 10;          // emotions in a reading, at least
  bool sentences = true;     // write sentences (templates are always written)
  int64_t batch_rows = 512;  // rows scored at once
  // What decoders that answer are asked; see AnswerOptions. The answer becomes the sentence.
  std::string question;
  // Answers drawn at temperature 1, to the question or to the decoder's own: the sentence is one of
  // those that agree with the most others (see agreement.h), the confidence their share. 0: none;
  // a question has its likeliest answer then, and the confidence is the best emotion's probability.
  int64_t samples = 0;
  uint64_t seed = 0;  // of the samples; streams are named by transcript and position
};

// Where a row comes from.
struct RowOrigin {
  std::string transcript;  // its id
  std::string holder;      // "" if it is not known
  uint32_t position = 0, first_position = 0;
  std::string token;  // text of the token at `position`; "" if it is not known
};

// One reading a row; rows as in Decoder::Read. `progress` (may be empty) is called with the rows of
// every batch. Throws Error; an interruption (base/interrupt.h) ends it between batches.
std::vector<Reading> ReadRows(const Decoder& decoder, const at::Tensor& rows,
                              const std::vector<RowOrigin>& origins, const ReadOptions& options,
                              const std::function<void(int64_t rows)>& progress);

// The name by which readings refer to their decoder: "probe (sha256 0123456789ab)".
std::string DecoderName(const DecoderInfo& info);

}  // namespace extrospect
