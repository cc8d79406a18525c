#include "eval/figures/channel_scores.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/calibration.h"

namespace extrospect {

const std::vector<std::string>& NothingWords() {
  static const std::vector<std::string> words = {"nothing", "neutral", "fine",
                                                 "normal",  "okay",    "indifferent"};
  return words;
}

std::vector<std::string> WordsToScore(const Lexicon& lexicon) {
  std::vector<std::string> words;
  for (const Emotion& emotion : lexicon.emotions()) {
    if (emotion.word != kNothing) words.push_back(emotion.word);
  }
  words.insert(words.end(), NothingWords().begin(), NothingWords().end());
  return words;
}

std::vector<double> ClassScores(const Lexicon& lexicon, const std::vector<double>& words) {
  std::vector<double> scores(lexicon.size());
  size_t next = 0;
  for (int64_t i = 0; i < lexicon.size(); ++i) {
    if (i != lexicon.nothing()) scores[i] = words[next++];
  }
  double sum = 0;
  for (; next < words.size(); ++next) sum += std::exp(words[next]);
  scores[lexicon.nothing()] = std::log(std::max(sum, std::numeric_limits<double>::min()));
  return scores;
}

std::vector<double> LogSoftmax(const std::vector<double>& scores, double temperature) {
  const double max = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (const double score : scores) sum += std::exp((score - max) / temperature);
  std::vector<double> log_p;
  for (const double score : scores) {
    log_p.push_back((score - max) / temperature - std::log(sum));
  }
  return log_p;
}

double FitTemperature(const std::vector<std::vector<double>>& scores,
                      const std::vector<int64_t>& truths) {
  if (scores.empty()) return 1.0;
  return BestTemperature([&](double temperature) {
    double sum = 0;
    for (size_t i = 0; i < scores.size(); ++i) {
      sum -= LogSoftmax(scores[i], temperature)[truths[i]];
    }
    return sum;
  });
}

void FillFromScores(const Lexicon& lexicon, const std::vector<double>& scores, double temperature,
                    TrialRecord& record) {
  const std::vector<double> log_p = LogSoftmax(scores, temperature);
  FillFromDistribution(lexicon, log_p, 0.0, record);
  record.valence = record.arousal = 0;
  for (int64_t i = 0; i < lexicon.size(); ++i) {
    record.valence += std::exp(log_p[i]) * lexicon[i].valence;
    record.arousal += std::exp(log_p[i]) * lexicon[i].arousal;
  }
}

}  // namespace extrospect
