#include "train/oracle/oracle_questions.h"

#include <algorithm>
#include <array>

#include "decode/oracle/oracle_prompt.h"

namespace extrospect {
namespace {

constexpr char kHolder[] = "{holder}", kWord[] = "{word}";

constexpr std::array kOpen = {
    "How does the {holder} feel?",
    "Which emotion does the {holder} have?",
    "What emotion is the {holder} in the grip of?",
    "Name the feeling of the {holder}.",
    "What is going on inside the {holder}?",
    "Describe what the {holder} feels.",
    "What would the {holder} say they feel, if they were honest?",
    "Tell me the {holder}'s emotional state.",
};
constexpr std::array kOpenUnnamed = {
    "Which emotion is present?",
    "What feeling do these activations carry?",
    "Name the emotion.",
    "Is there a feeling here, and which?",
};
constexpr std::array kClosed = {
    "Does the {holder} feel {word}?",
    "Is the {holder} {word}?",
    "Would you call the {holder} {word}?",
    "Is {word} the right word for what the {holder} feels?",
};
constexpr std::array kIntensity = {
    "How strong is the feeling, from 1 to 5?",
    "On a scale from 1 to 5, how intense is what the {holder} feels?",
    "Rate the intensity of the emotion from 1 to 5.",
};
constexpr std::array kWhose = {
    "Whose feeling is it?",
    "Who feels it: the user, the assistant or a character?",
    "Who has this emotion?",
};

template <size_t n>
std::string Pick(const std::array<const char*, n>& wordings, RandomStream& random) {
  return wordings[random.Below(n)];
}

std::string Fill(std::string text, const std::string& mark, const std::string& value) {
  for (size_t at = text.find(mark); at != text.npos; at = text.find(mark, at + value.size())) {
    text.replace(at, mark.size(), value);
  }
  return text;
}

QuestionAnswer Open(const Example& example, const Lexicon& lexicon, const QuestionMix& mix,
                    bool reworded, RandomStream& random) {
  const int64_t label = example.classes[random.Below(example.classes.size())];
  const std::string holder = random.Uniform() < mix.unnamed ? "" : example.holder;
  QuestionAnswer qa;
  qa.question = !reworded        ? FeelsQuestion(holder)
                : holder.empty() ? Pick(kOpenUnnamed, random)
                                 : Fill(Pick(kOpen, random), kHolder, holder);
  const std::string word = label == lexicon.nothing() ? "nothing" : lexicon[label].word;
  qa.answer = FeelsOpening(holder) + " " + word;
  // A description says the same and goes on; one of another form would teach another answer.
  if (label != lexicon.nothing() && random.Uniform() < mix.described &&
      example.description.starts_with(qa.answer)) {
    qa.answer = example.description;
  } else {
    qa.answer += ".";
    qa.of_class = label;
    qa.names_class = true;
  }
  return qa;
}

}  // namespace

QuestionMix QuestionMix::FromConfig(const Config& config) {
  QuestionMix mix;
  mix.closed = config.Number("questions.closed");
  mix.intensity = config.Number("questions.intensity");
  mix.holder = config.Number("questions.holder");
  mix.described = config.Number("questions.described");
  mix.unnamed = config.Number("questions.unnamed");
  mix.reworded = config.Number("questions.reworded");
  return mix;
}

QuestionAnswer DrawQuestion(const Example& example, const Lexicon& lexicon, const QuestionMix& mix,
                            RandomStream& random) {
  const bool reworded = random.Uniform() < mix.reworded;
  const bool felt = example.classes[0] != lexicon.nothing();
  const double kind = random.Uniform();
  const std::string holder = example.holder.empty() ? "holder" : example.holder;
  const auto denied = [&](int64_t word) {
    const auto& classes = example.classes;
    return word != lexicon.nothing() &&
           std::find(classes.begin(), classes.end(), word) == classes.end();
  };
  int64_t other = 0;  // a feeling to say no to, if there is one
  while (other < lexicon.size() && !denied(other)) ++other;
  const bool deniable = other < lexicon.size();
  if (kind < mix.closed && (felt || deniable)) {
    const bool affirm = felt && (random.Uniform() < 0.5 || !deniable);
    int64_t word = example.classes[0];
    while (!affirm && !denied(word)) {
      word = static_cast<int64_t>(random.Below(static_cast<uint64_t>(lexicon.size())));
    }
    const std::string wording = reworded ? Pick(kClosed, random) : kClosed[0];
    return {Fill(Fill(wording, kHolder, holder), kWord, lexicon[word].word),
            affirm ? "Yes." : "No.", example.classes[0]};
  }
  if (felt && example.intensity > 0 && kind < mix.closed + mix.intensity) {
    const std::string wording = reworded ? Pick(kIntensity, random) : kIntensity[0];
    return {Fill(wording, kHolder, holder), std::to_string(example.intensity) + "."};
  }
  if (felt && !example.holder.empty() && kind >= mix.closed + mix.intensity &&
      kind < mix.closed + mix.intensity + mix.holder) {
    return {reworded ? Pick(kWhose, random) : kWhose[0], "The " + holder + "'s."};
  }
  return Open(example, lexicon, mix, reworded, random);
}

}  // namespace extrospect
