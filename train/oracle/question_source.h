// The questions of every step of an oracle's training, and the rows that they are about.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/random.h"
#include "decode/oracle/oracle_prompt.h"
#include "model/model.h"
#include "train/linear/stacked_reading.h"
#include "train/loop/epochs.h"
#include "train/oracle/context_task.h"
#include "train/oracle/oracle_loss.h"
#include "train/oracle/oracle_questions.h"
#include "train/oracle/oracle_rows.h"
#include "train/run.h"

namespace extrospect {

// A question with its answer, and what it is about.
struct Question {
  RowRecipe recipe = {};
  at::Tensor own_row = {};  // [hooks, d_model]: of context prediction, instead of a training row
  Exchange exchange = {};
};

// A step's questions follow from the seed and the step's number alone. What is given by reference
// must outlive the source.
class QuestionSource {
 public:
  // reading: what the words' vectors are weighed by; null without such vectors.
  QuestionSource(const TrainingData& data, const Config& config, OraclePromptFormat format,
                 const StackedReading* reading, const OracleRows& rows,
                 std::shared_ptr<const LanguageModel> model);

  // What is added to the rows of a step as a whole, so that its parts see what they would have seen
  // together: [questions, hooks, d_model].
  at::Tensor Noise(int64_t step) const;
  // Epochs over the rows are permutations, each with a stream of its own. `noise` is the step's.
  std::vector<Question> Draw(int64_t step, const at::Tensor& noise);

  // Context questions about transcripts of dev; none without context.share.
  const std::vector<Question>& held_out() const { return held_out_; }
  // See ContextTask; empty without context.share.
  std::string ContextFingerprint() const { return context_ ? context_->Fingerprint() : ""; }
  // What every prompt begins with.
  const std::vector<int32_t>& prefix() const { return prefix_; }

 private:
  int32_t TokenOfNothing() const;
  bool Teach(int64_t step, int64_t row, const at::Tensor& noise, RandomStream& random,
             Example& labels) const;
  void MakeUp(const QuestionAnswer& qa, RandomStream& random, RandomStream& faint,
              Question& question) const;
  Exchange Tokenize(const QuestionAnswer& qa) const;
  Question Tokenize(const ContextExample& example) const;

  const TrainingData& data_;
  const Config& config_;
  OraclePromptFormat format_;
  const StackedReading* reading_;
  const OracleRows& rows_;
  std::shared_ptr<const LanguageModel> model_;
  QuestionMix mix_;
  uint64_t seed_;
  Epochs epochs_;
  std::vector<int32_t> prefix_;
  int32_t nothing_token_ = -1;
  std::optional<ContextTask> context_;
  std::vector<Question> held_out_;
};

}  // namespace extrospect
