// The model's own answers about how it feels, each asked after a transcript whose keys and values
// may hold an injection that is no longer there while the question is read.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "decode/oracle/word_scorer.h"
#include "extract/prepare.h"
#include "model/forward/token_probabilities.h"
#include "model/model.h"
#include "records/transcripts.h"

namespace extrospect {

// The tokens that append a user's question (and the beginning of the answer) to a transcript.
struct Question {
  int64_t kept = 0;             // tokens of the transcript that stay as they are
  std::vector<int32_t> tokens;  // what follows them
};

// Renders `transcript` with the question as one more user turn, then the header of the assistant's
// answer and `answer` itself. Plain text gets "\n\n" and the question. Throws Error if the
// rendering changes the transcript before token `needed`.
Question AskAfter(const LanguageModel& model, const Transcript& transcript,
                  const PreparedTranscript& prepared, int64_t needed, const std::string& question,
                  const std::string& answer);

// The question alone, after nothing.
WordContext AskAlone(const LanguageModel& model, const std::string& question,
                     const std::string& answer);

// A past cut to its first `kept` tokens, without copies.
std::vector<std::shared_ptr<const KvSegment>> CutPast(
    const std::vector<std::shared_ptr<const KvSegment>>& past, int64_t kept);

// logit(YES) − logit(NO) at the first token of the answer, by context; the spellings of either are
// summed.
class YesNoScorer {
 public:
  YesNoScorer(const LanguageModel& model, int64_t batch_tokens);
  std::vector<double> Score(std::span<const WordContext> contexts) const;

 private:
  const LanguageModel& model_;
  int64_t batch_tokens_;
  std::vector<int32_t> yes_, no_;                    // token ids
  std::optional<TokenProbabilities> probabilities_;  // of both, in this order
};

// Questions of the YES/NO protocol. Answers that are true of every transcript: NO to the factual
// ones, YES to the inverted factual ones. Their mean is a model's leaning towards YES, which is
// subtracted.
struct YesNoQuestions {
  std::string detection, inverted;
  std::vector<std::string> factual_no, factual_yes;
  std::string match;  // "Do you feel {} right now?": mismatch run
};
YesNoQuestions DefaultYesNoQuestions();

}  // namespace extrospect
