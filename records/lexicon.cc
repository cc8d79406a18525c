#include "records/lexicon.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/bounded_json.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "records/builtin_lexicon.h"

namespace extrospect {
namespace {

using nlohmann::json;

bool Lists(const Emotion& emotion, const std::string& word) {
  return std::find(emotion.near.begin(), emotion.near.end(), word) != emotion.near.end();
}

Emotion ParseEmotion(std::string_view line, const std::string& where) {
  try {
    const json object = ParseBoundedJson(line, where);
    Emotion emotion;
    emotion.word = object.at("word").get<std::string>();
    emotion.family = object.value("family", "");
    emotion.valence = object.value("valence", 0.0);
    emotion.arousal = object.value("arousal", 0.0);
    emotion.near = object.value("near", std::vector<std::string>());
    const auto in_range = [](double x) { return x >= -1.0 && x <= 1.0; };
    if (emotion.word.empty() || !in_range(emotion.valence) || !in_range(emotion.arousal)) {
      throw Error("cannot read lexicon")
          .At(where)
          .Expected("a word, and valence and arousal from -1 to 1");
    }
    return emotion;
  } catch (const json::exception& error) {
    throw Error("cannot read lexicon").At(where).Found(error.what());
  }
}

}  // namespace

Lexicon::Lexicon(std::vector<Emotion> emotions) : emotions_(std::move(emotions)) {
  const auto is_nothing = [](const Emotion& emotion) { return emotion.word == kNothing; };
  if (std::none_of(emotions_.begin(), emotions_.end(), is_nothing)) {
    emotions_.push_back({std::string(kNothing), "neutral", 0.0, 0.0, {}});
  }
  for (size_t i = 0; i < emotions_.size(); ++i) {
    if (!index_.emplace(emotions_[i].word, static_cast<int64_t>(i)).second) {
      throw Error("a word is twice in the lexicon").Found(emotions_[i].word);
    }
  }
}

Lexicon Lexicon::BuiltIn() { return Parse(kBuiltInLexicon, "the built-in lexicon"); }

Lexicon Lexicon::Read(const std::filesystem::path& path) {
  return Parse(ReadFile(path), path.string());
}

Lexicon Lexicon::Parse(std::string_view lines, const std::string& name) {
  std::vector<Emotion> emotions;
  for (int64_t line = 1; !lines.empty(); ++line) {
    const size_t end = lines.find('\n');
    const std::string_view text = lines.substr(0, end);
    lines.remove_prefix(end == lines.npos ? lines.size() : end + 1);
    if (text.find_first_not_of(" \t\r") == text.npos) continue;
    emotions.push_back(ParseEmotion(text, name + ", line " + std::to_string(line)));
  }
  return Lexicon(std::move(emotions));
}

int64_t Lexicon::Find(std::string_view word) const {
  const auto found = index_.find(std::string(word));
  return found == index_.end() ? -1 : found->second;
}

bool Lexicon::IsNear(int64_t truth, int64_t guess) const {
  return Lists(emotions_[truth], emotions_[guess].word) ||
         Lists(emotions_[guess], emotions_[truth].word);
}

std::string Lexicon::Serialize() const {
  std::string lines;
  for (const Emotion& emotion : emotions_) {
    lines += json{{"word", emotion.word},
                  {"family", emotion.family},
                  {"valence", emotion.valence},
                  {"arousal", emotion.arousal},
                  {"near", emotion.near}}
                 .dump() +
             "\n";
  }
  return lines;
}

std::string Lexicon::Sha256() const { return Sha256Hex(Serialize()); }

}  // namespace extrospect
