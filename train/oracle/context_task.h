// Context prediction: given the activations at one token, say which text comes right before or
// after it ("PastLens" in arXiv 2512.15674). It teaches an oracle to read more than emotions, and
// needs no labels: an activation file of all tokens holds questions and answers both.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "decode/decoder.h"
#include "model/model.h"
#include "records/activations.h"
#include "train/dataset.h"
#include "train/oracle/oracle_questions.h"

namespace extrospect {

struct ContextExample {
  at::Tensor row;  // [hooks, d_model] float32 on the CPU
  QuestionAnswer question;
};

// Rows are read one by one where they lie in the file, so that it may be larger than memory.
class ContextTask {
 public:
  // `path` is a file of `extract --tokens all --pool none` with the decoder's model and hooks; up
  // to `max_tokens` tokens are asked for. Throws Error naming the file if it does not serve.
  // `model` must outlive the task. A transcript that is `labelled` has the split that it has there,
  // others that of their line, or the one of SplitByHash.
  ContextTask(const std::filesystem::path& path, const DecoderInfo& info,
              const LabelledTranscripts& labelled, const LanguageModel& model, int64_t max_tokens);

  // From transcripts of the split "train", or, `held_out`, from those of "dev".
  ContextExample Draw(bool held_out, RandomStream& random) const;

  // SHA-256 (hexadecimal) of what the questions follow from: the file's model, run and tokens.
  std::string Fingerprint() const;

 private:
  std::string TextOf(uint64_t first_row, int64_t count) const;

  ActivationReader reader_;
  std::vector<std::string> hooks_;
  const LanguageModel& model_;
  int64_t max_tokens_;
  std::vector<uint64_t> train_, dev_;  // rows
};

}  // namespace extrospect
