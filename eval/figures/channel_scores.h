// From log-probabilities of words to a distribution over the lexicon.
#pragma once

#include <string>
#include <vector>

#include "eval/figures/trial_record.h"
#include "records/lexicon.h"

namespace extrospect {

// Words by which a model says that it feels nothing of note; together they are the class kNothing.
const std::vector<std::string>& NothingWords();

// Words to score: the lexicon's emotions in its order, then NothingWords().
std::vector<std::string> WordsToScore(const Lexicon& lexicon);

// Scores of WordsToScore() as scores of the lexicon's classes: the nothing words are summed.
std::vector<double> ClassScores(const Lexicon& lexicon, const std::vector<double>& words);

// log softmax(scores / temperature).
std::vector<double> LogSoftmax(const std::vector<double>& scores, double temperature = 1.0);

// BestTemperature by the negative log-likelihood of the truths; without scores, 1.
double FitTemperature(const std::vector<std::vector<double>>& scores,
                      const std::vector<int64_t>& truths);

// Fills a record from class scores: distribution, and valence and arousal as their expectation.
void FillFromScores(const Lexicon& lexicon, const std::vector<double>& scores, double temperature,
                    TrialRecord& record);

}  // namespace extrospect
