// How far several answers to one question say the same.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "records/lexicon.h"

namespace extrospect {

// What an answer comes down to, in lower-case words that single spaces part (letters, digits and
// bytes beyond ASCII make words):
//   1. "yes" or "no", where it begins with that word;
//   2. else the word of the lexicon that it names first, the longest where several begin there;
//      "nothing" is kNothing;
//   3. else all of it.
std::string AnswerMeaning(const Lexicon& lexicon, std::string_view answer);

struct Agreement {
  size_t answer = 0;   // the first answer of those that mean what most do
  double share = 0.0;  // theirs of all answers
};

// Among meanings that are equally frequent, the one that was said first wins. At least one answer.
Agreement Agree(const Lexicon& lexicon, const std::vector<std::string>& answers);

}  // namespace extrospect
