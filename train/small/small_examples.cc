#include "train/small/small_examples.h"

#include <set>
#include <utility>

#include "decode/small.h"

namespace extrospect {
namespace {

std::string HolderOf(const Example& example) {
  return example.holder.empty() ? kSmallHolders.back() : example.holder;
}

std::string TemplateOf(const TrainingData& data, const Example& example) {
  return TemplateSentence(HolderOf(example), data.lexicon()[example.classes[0]].word);
}

std::vector<const Example*> TrainExamples(const TrainingData& data) {
  std::vector<const Example*> examples;
  for (const int64_t row : data.rows.split.at("train")) {
    const int64_t example = data.rows.example[static_cast<size_t>(row)];
    examples.push_back(&data.transcripts->examples()[static_cast<size_t>(example)]);
  }
  return examples;
}

}  // namespace

std::vector<SmallExample> SmallExamples(const TrainingData& data, const SentencePieces& pieces,
                                        int64_t max_tokens) {
  std::vector<SmallExample> examples;
  for (const Example* example : TrainExamples(data)) {
    SmallExample& small = examples.emplace_back();
    small.classes = example->classes;
    small.holder = HolderOf(*example);
    small.described = !example->description.empty();
    small.sentence =
        pieces.Encode(small.described ? example->description : TemplateOf(data, *example));
    const auto longest = static_cast<size_t>(max_tokens - 2);
    if (small.sentence.size() > longest) small.sentence.resize(longest);
    small.sentence.insert(small.sentence.begin(), pieces.bos());
    small.sentence.push_back(pieces.eos());
  }
  return examples;
}

std::vector<std::string> VocabularySentences(const TrainingData& data) {
  std::vector<std::string> sentences;
  for (const Example* example : TrainExamples(data)) {
    if (!example->description.empty()) sentences.push_back(example->description);
    sentences.push_back(TemplateOf(data, *example));
  }
  return sentences;
}

std::vector<std::string> TrainedHolders(const TrainingData& data) {
  std::set<std::string> known;
  for (const Example* example : TrainExamples(data)) known.insert(HolderOf(*example));
  std::vector<std::string> holders(kSmallHolders.begin(), kSmallHolders.end());
  std::erase_if(holders, [&](const std::string& holder) { return !known.contains(holder); });
  return holders;
}

}  // namespace extrospect
