// trials.jsonl: what one channel said in one trial, one JSON object a line. Every figure of a
// report can be recomputed from this file alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "records/lexicon.h"
#include "records/readings.h"

namespace extrospect {

// A trial is a question with a known answer: a transcript, and what was injected into it, if
// anything. Numbers that do not apply are NaN (absent from the line).
struct Trial {
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

  std::string id;
  std::string truth;   // "natural": the author's label; "injected": a vector that was added
  std::string subset;  // natural: "test", "unseen", "hard/masked", …; injected: "seen", "unseen"
                       // (no decoder was trained on the concept), "random" (a random direction)
  // The word to be found; kNothing for neutral transcripts; empty for random directions. A
  // zero-dose trial names the concept that its sisters inject.
  std::string concept_word;
  std::vector<std::string> labels;  // all words that count as right
  std::string family;
  double truth_valence = kNone, truth_arousal = kNone;  // of the lexicon
  std::string transcript, holder;
  uint64_t seed = 0;

  // Injected trials.
  std::string dose_level;                  // as configured: "0", "0.2", "raw:3"; empty if natural
  double dose = kNone;                     // ‖added vector‖ / mean ‖residual‖
  double raw = kNone;                      // multiplier on the raw emotion vector
  int64_t block = -1;                      // the vector is added after this block
  uint32_t span_first = 0, span_last = 0;  // to the content tokens among these positions

  bool injected() const { return truth == "injected"; }
  // Whether there is anything to find.
  bool signal() const { return injected() ? dose > 0 : concept_word != kNothing; }
};

// What a channel said in a trial.
struct TrialRecord {
  Trial trial;
  std::string channel;           // "probe", "self-report", "text-only-pmi", …
  std::string variant = "real";  // "zeroed", "shuffled", "random": controls of a decoder
  std::string reading;           // injected: "after" the span, or the "whole" content
  std::string hook;              // decoders: where they read
  uint32_t first_position = 0, position = 0;  // and which tokens: first and last

  std::vector<EmotionProbability> top;  // ten best classes, kNothing included
  std::string guess, guess_family;      // the best emotion, kNothing excluded
  bool near = false;                    // the guess is right or a near miss
  double rank = Trial::kNone;  // of the truth among the emotions, 1 = best, ties at their middle
  double p_truth = Trial::kNone;
  double p_nothing = Trial::kNone;
  double confidence = Trial::kNone;  // the best class's probability
  bool correct = false;              // the best class is the truth (kNothing where none was there)
  double brier = Trial::kNone;       // Σ (p − truth)² over the classes
  double valence = Trial::kNone, arousal = Trial::kNone;
  double detection = Trial::kNone;      // the higher, the more surely something was found
  bool detected = false;                // the channel's own decision
  bool abstained = false;               // nothing to report
  bool refused = false;                 // a free answer without any word of the lexicon
  std::string text;                     // a free answer, or the decoder's sentence
  std::map<std::string, double> extra;  // figures of special protocols, by name

  bool has_detection() const { return detection == detection; }
};

// One line, without the newline. Numbers keep six decimal places.
std::string ToJson(const TrialRecord& record);
// Throws Error naming `where` and the field.
TrialRecord ParseTrialRecord(std::string_view line, const std::string& where);
std::vector<TrialRecord> ReadTrialRecords(const std::filesystem::path& path);

// Whether the guess is the truth, or as good as tied with it.
bool IsRight(const TrialRecord& record);
// The family that was named: of a right guess the trial's own (one of several labels may be of
// another family than the first).
const std::string& FamilyRead(const TrialRecord& record);
// Whether it is the right one. Words without a family are only right or wrong themselves.
bool IsRightFamily(const TrialRecord& record);

// Fills everything that follows from a channel's distribution: top, guess, near, rank, p_truth,
// p_nothing, confidence, correct, brier, and detection = 1 − p(nothing). `log_p` has one entry a
// class of `lexicon` and sums to 1. `abstain_below`: see DecoderInfo.
void FillFromDistribution(const Lexicon& lexicon, const std::vector<double>& log_p,
                          double abstain_below, TrialRecord& record);

}  // namespace extrospect
