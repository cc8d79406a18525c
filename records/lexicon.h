// The emotion lexicon: the words that decoders choose from.
//
// lexicon.jsonl, one object a line: word, family, valence, arousal (−1 … 1), appraisal, near (words
// that count as a near miss), banned (stems that a transcript for the word may not contain).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace extrospect {

// The class of transcripts that carry no feeling of note.
inline constexpr std::string_view kNothing = "nothing to report";

struct Emotion {
  std::string word;
  std::string family;
  double valence = 0.0;
  double arousal = 0.0;
  std::vector<std::string> near;
};

class Lexicon {
 public:
  Lexicon() = default;
  // Words must be unique; kNothing is appended where it is missing, so that it always has a place.
  explicit Lexicon(std::vector<Emotion> emotions);

  // The lexicon that the program carries in itself.
  static Lexicon BuiltIn();
  // Throws Error naming file, line and field.
  static Lexicon Read(const std::filesystem::path& path);
  static Lexicon Parse(std::string_view lines, const std::string& name);

  int64_t size() const { return static_cast<int64_t>(emotions_.size()); }
  const Emotion& operator[](int64_t index) const { return emotions_[index]; }
  const std::vector<Emotion>& emotions() const { return emotions_; }
  // −1 if the word is not in the lexicon.
  int64_t Find(std::string_view word) const;
  int64_t nothing() const { return Find(kNothing); }
  // Whether `guess` deserves near-miss credit for `truth`: it is listed as near, either way round.
  bool IsNear(int64_t truth, int64_t guess) const;

  // The lexicon as JSON lines again, and its hash.
  std::string Serialize() const;
  std::string Sha256() const;

 private:
  std::vector<Emotion> emotions_;
  std::unordered_map<std::string, int64_t> index_;
};

}  // namespace extrospect
