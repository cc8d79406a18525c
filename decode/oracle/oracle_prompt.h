// The chat in which a language model is asked about activations.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/model.h"
#include "records/lexicon.h"

namespace extrospect {

// The user's turn is
//
//   Layer: 14, 19
//    ? ? ?
//   What does the user feel?
//
// with one placeholder for each activation vector.
struct OraclePromptFormat {
  std::string layers;              // "14, 19"
  std::string placeholder = " ?";  // must be a single token
  int64_t n_vectors = 1;
};

// Tokens of a question. The prefix is the same for all questions of a format, so that its keys and
// values are computed once; activations enter at the first n_vectors tokens after it.
struct OraclePrompt {
  std::vector<int32_t> prefix;
  std::vector<int32_t> question;  // from the first placeholder on; ends where the answer begins
  std::vector<int32_t> answer;    // the given text of the answer; may be empty
};

// The placeholder's token. Throws Error if the model has no such token.
int32_t PlaceholderId(const LanguageModel& model, const std::string& placeholder);

// `answer` is what the answer begins with, or is (for training). Throws Error if the placeholder is
// not a single token in this place or stands in the prompt elsewhere, if the question is longer
// than the model's context, or if the answer's tokens cannot be told from the question's.
OraclePrompt MakeOraclePrompt(const LanguageModel& model, const OraclePromptFormat& format,
                              const std::string& question, const std::string& answer);

// The block numbers of hooks, as a prompt names them: "14, 19".
std::string LayersText(const std::vector<std::string>& hooks);

// What is asked and how the answer begins, for a holder ("" where it is not known).
std::string FeelsQuestion(const std::string& holder);
std::string FeelsOpening(const std::string& holder);

// The lexicon's words as answers say them: "nothing" for "nothing to report".
std::vector<std::string> SpokenWords(const Lexicon& lexicon);

}  // namespace extrospect
