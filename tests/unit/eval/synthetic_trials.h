// Trials as a small evaluation leaves them, made up: a decoder that reads better with the dose, a
// self-report that does not, and controls.
#pragma once

#include <string>
#include <vector>

#include "base/random.h"
#include "eval/figures/channel_scores.h"
#include "eval/report/report.h"
#include "records/lexicon.h"

namespace extrospect {

inline constexpr const char* kHostileText =
    "<script>alert(1)</script> \"quoted\" & <b>bold</b> </blockquote><img src=x onerror=alert(2)>";

inline Lexicon SyntheticLexicon() {
  std::vector<Emotion> emotions;
  const char* families[] = {"joy", "fear", "anger", "sadness"};
  for (int i = 0; i < 24; ++i) {
    Emotion emotion;
    emotion.word = "word" + std::to_string(i);
    emotion.family = families[i % 4];
    emotion.valence = i % 4 == 0 ? 0.7 : -0.3 - 0.1 * (i % 4);
    emotion.arousal = 0.05 * (i - 12);
    if (i >= 4) emotion.near = {"word" + std::to_string(i - 4)};
    emotions.push_back(emotion);
  }
  return Lexicon(emotions);
}

// What one channel says: noise, and `strength` on the truth.
inline TrialRecord SyntheticRecord(const Lexicon& lexicon, Trial trial, const std::string& channel,
                                   double strength, RandomStream& random) {
  TrialRecord record;
  record.trial = std::move(trial);
  record.channel = channel;
  std::vector<double> scores;
  for (int64_t i = 0; i < lexicon.size(); ++i) scores.push_back(random.Normal());
  const int64_t truth = lexicon.Find(record.trial.concept_word);
  const bool signal = record.trial.signal();
  if (signal && truth >= 0) scores[truth] += strength;
  if (!signal) scores[lexicon.nothing()] += 2 + strength / 2;
  FillFromScores(lexicon, scores, 1.0, record);
  return record;
}

// Writes trials.jsonl into `folder` and returns the options and texts for WriteReport.
inline SummaryOptions WriteSyntheticTrials(const std::filesystem::path& folder,
                                           TranscriptTexts& texts) {
  const Lexicon lexicon = SyntheticLexicon();
  RandomStream random(5, "synthetic");
  TrialWriter writer(folder);
  const auto add_all = [&](const Trial& trial, double strength) {
    for (const std::string reading : {"after", "whole"}) {
      if (!trial.injected() && reading == "whole") continue;
      const double more = reading == "whole" ? 2 * strength : strength;
      for (const std::string variant : {"real", "zeroed", "shuffled", "random"}) {
        TrialRecord record =
            SyntheticRecord(lexicon, trial, "probe", variant == "real" ? more : 0.0, random);
        record.variant = variant;
        record.reading = trial.injected() ? reading : "";
        record.hook = "blocks.20.hook_resid_post";
        if (variant == "real" && reading == "after") record.text = "The user feels " + record.guess;
        writer.Add(record);
      }
    }
    writer.Add(SyntheticRecord(lexicon, trial, "text-only-pmi", trial.injected() ? 0 : 1, random));
    if (!trial.injected()) return;
    writer.Add(SyntheticRecord(lexicon, trial, "self-report", strength / 6, random));
    TrialRecord yes_no;
    yes_no.trial = trial;
    yes_no.channel = "yes-no";
    yes_no.detection = random.Normal();
    yes_no.detected = yes_no.detection > 0;
    yes_no.extra = {{"d detection", yes_no.detection}, {"d factual NO", random.Normal()}};
    writer.Add(yes_no);
  };
  for (int64_t i = 0; i + 1 < lexicon.size(); ++i) {
    for (int k = 0; k < 4; ++k) {
      const std::string transcript = "transcript-" + std::to_string((i * 4 + k) % 17);
      texts[transcript] = "user: " + std::string(kHostileText);
      Trial trial;
      trial.concept_word = lexicon[i].word;
      trial.labels = {lexicon[i].word};
      trial.family = lexicon[i].family;
      trial.truth_valence = lexicon[i].valence;
      trial.truth_arousal = lexicon[i].arousal;
      trial.transcript = transcript;
      trial.holder = "user";
      trial.truth = "natural";
      trial.subset = i % 8 == 7 ? "unseen" : "test";
      trial.id = "natural/" + lexicon[i].word + "/" + std::to_string(k);
      add_all(trial, 4);
      trial.truth = "injected";
      trial.subset = i % 8 == 7 ? "unseen" : "seen";
      trial.block = 8;
      for (const double dose : {0.0, 0.1, 0.4, 0.8}) {
        char level[16];
        std::snprintf(level, sizeof level, "%g", dose);
        Trial injected = trial;
        injected.id = "injected/" + lexicon[i].word + "/" + std::to_string(k) + "/" + level;
        injected.dose_level = level;
        injected.dose = dose;
        injected.raw = dose * 20;
        if (dose == 0) injected.truth_valence = injected.truth_arousal = Trial::kNone;
        add_all(injected, 6 * dose);
      }
    }
  }
  for (int k = 0; k < 30; ++k) {
    Trial trial;
    trial.id = "natural/neutral/" + std::to_string(k);
    trial.truth = "natural";
    trial.subset = "test";
    trial.concept_word = kNothing;
    trial.labels = {std::string(kNothing)};
    trial.transcript = "neutral-" + std::to_string(k);
    add_all(trial, 4);
  }
  writer.Finish();
  SummaryOptions options;
  options.decoders = {"probe"};
  options.text_channel = "text-only-pmi";
  options.self_channels = {"self-report", "self-report-shift"};
  options.bootstrap = 300;
  options.shuffles = 5;
  options.seed = 3;
  return options;
}

inline nlohmann::ordered_json WriteSyntheticReport(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  TranscriptTexts texts;
  const SummaryOptions options = WriteSyntheticTrials(folder, texts);
  nlohmann::ordered_json about;
  about["created_by"] = "synthetic trials";
  about["command"] = "extrospect eval --output '<b>'";
  about["lexicon"] = {{"words", 24}};
  return WriteReport(folder, about, options, texts);
}

}  // namespace extrospect
