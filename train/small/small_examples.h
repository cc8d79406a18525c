// What the small decoder learns to say of the training rows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "decode/sentence_pieces.h"
#include "train/run.h"

namespace extrospect {

// One row with everything that can be asked of it.
struct SmallExample {
  std::vector<int64_t> sentence;  // pieces, begin and end included
  std::vector<int64_t> classes;   // the main one first
  std::string holder;             // one of kSmallHolders
  bool described = false;         // the sentence is the transcript's description, not a template
};

// Of the split "train", in its order; sentences are cut to `max_tokens` pieces.
std::vector<SmallExample> SmallExamples(const TrainingData& data, const SentencePieces& pieces,
                                        int64_t max_tokens);

// The sentences that the vocabulary is trained on.
std::vector<std::string> VocabularySentences(const TrainingData& data);

// Of kSmallHolders those that training rows have.
std::vector<std::string> TrainedHolders(const TrainingData& data);

}  // namespace extrospect
