// What an oracle is asked in training, and the right answers.
#pragma once

#include <cstdint>
#include <string>

#include "base/config.h"
#include "base/random.h"
#include "records/lexicon.h"
#include "train/dataset.h"

namespace extrospect {

struct QuestionAnswer {
  std::string question, answer;
  // The class from which alone the answer follows; −1: intensity, holder or circumstances count.
  int64_t of_class = -1;
  bool names_class = false;  // the answer is the class's word and no more
};

// Shares of the kinds of question; what is left is open questions. All in 0 … 1.
struct QuestionMix {
  double closed = 0.0;     // "Does the user feel ashamed?" "No."; half of them to be affirmed
  double intensity = 0.0;  // "How strong is it, from 1 to 5?" "4."
  double holder = 0.0;     // "Whose feeling is it?" "The assistant's."
  double described = 0.0;  // of the open answers: the description instead of the bare word
  double unnamed = 0.0;    // of the open questions: the holder is not named
  double reworded = 0.0;   // of all: other words than those that are used in reading

  static QuestionMix FromConfig(const Config& config);
};

// One question about an example, drawn from `random`. Questions that the example's labels cannot
// answer become open ones.
QuestionAnswer DrawQuestion(const Example& example, const Lexicon& lexicon, const QuestionMix& mix,
                            RandomStream& random);

}  // namespace extrospect
