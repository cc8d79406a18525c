// The model's answers as channels of the injected half: one word, its shift against no injection,
// free text, and the YES/NO protocol.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "decode/oracle/word_scorer.h"
#include "eval/injected_plan.h"
#include "eval/run.h"
#include "eval/self_report.h"

namespace extrospect {

class SelfReportChannels {
 public:
  SelfReportChannels(const EvalSetup& setup, const InjectedPlan& plan, RecordSink sink);

  // Asks after every trial of the batch. A transcript's zero-dose trial must come before (or in the
  // same batch as) its others, as RunInjections has it.
  void Take(const InjectedBatch& batch);

  // Questions and words, for the report.
  nlohmann::ordered_json Describe() const;

 private:
  void AskWord(const InjectedBatch& batch);
  void AskFreely(const InjectedBatch& batch);
  void AskYesNo(const InjectedBatch& batch);
  const Question& QuestionFor(const InjectedTrial& trial, const std::string& question,
                              const std::string& answer);
  WordContext ContextFor(const InjectedBatch& batch, size_t i, const std::string& question,
                         const std::string& answer);
  // A word of another family, the same for every dose of a concept.
  std::string UnrelatedWord(const std::string& concept_word) const;

  const EvalSetup& setup_;
  const InjectedPlan& plan_;
  RecordSink sink_;
  WordScorer words_;
  YesNoScorer yes_no_;
  YesNoQuestions questions_;
  std::set<std::string> yes_no_concepts_;
  std::set<std::string> asked_freely_;                        // ids of trials
  std::map<std::pair<size_t, std::string>, Question> asked_;  // by transcript and text
  std::map<size_t, WordScores> zero_words_;                   // by transcript
};

}  // namespace extrospect
