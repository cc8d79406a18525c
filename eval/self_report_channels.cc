#include "eval/self_report_channels.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/random.h"
#include "eval/figures/channel_scores.h"
#include "model/forward/generate.h"

namespace extrospect {
namespace {

constexpr int64_t kFreeTokens = 24;

std::string Filled(const std::string& pattern, const std::string& word) {
  std::string text = pattern;
  if (const size_t place = text.find("{}"); place != text.npos) text.replace(place, 2, word);
  return text;
}

// The lexicon's word that occurs first in the text, or −1. Longer words win at the same place.
int64_t FindWord(const Lexicon& lexicon, const std::string& text) {
  std::string lower;
  for (const char c : text) {
    lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  const auto is_letter = [&](size_t i) {
    return i < lower.size() && std::isalpha(static_cast<unsigned char>(lower[i])) != 0;
  };
  int64_t best = -1;
  size_t best_place = std::string::npos, best_length = 0;
  for (int64_t i = 0; i < lexicon.size(); ++i) {
    const std::string& word = lexicon[i].word;
    if (word == kNothing) continue;
    for (size_t place = lower.find(word); place != lower.npos;
         place = lower.find(word, place + 1)) {
      if ((place > 0 && is_letter(place - 1)) || is_letter(place + word.size())) continue;
      if (place < best_place || (place == best_place && word.size() > best_length)) {
        best = i, best_place = place, best_length = word.size();
      }
      break;
    }
  }
  return best;
}

// How much more probable every class has become. Tails count where both sides scored them.
std::vector<double> Shift(const Lexicon& lexicon, const WordScores& now, const WordScores& zero) {
  std::vector<double> a = now.log_p, b = zero.log_p;
  for (size_t i = 0; i < a.size(); ++i) {
    if (now.in_full[i] && zero.in_full[i]) continue;
    a[i] = now.first[i];
    b[i] = zero.first[i];
  }
  std::vector<double> shift = ClassScores(lexicon, a);
  const std::vector<double> before = ClassScores(lexicon, b);
  for (size_t c = 0; c < shift.size(); ++c) shift[c] -= before[c];
  return shift;
}

}  // namespace

SelfReportChannels::SelfReportChannels(const EvalSetup& setup, const InjectedPlan& plan,
                                       RecordSink sink)
    : setup_(setup),
      plan_(plan),
      sink_(std::move(sink)),
      words_(setup.model, setup.options.self_report.answer, WordsToScore(setup.lexicon),
             AskAlone(setup.model, setup.options.self_report.question,
                      setup.options.self_report.answer),
             WordScorerOptions{.tails = setup.options.tails,
                               .batch_tokens = setup.options.batch_tokens}),
      yes_no_(setup.model, setup.options.batch_tokens),
      questions_(DefaultYesNoQuestions()) {
  const auto& options = setup.options.self_report;
  const auto n = static_cast<int64_t>(plan.concepts.size());
  const int64_t wanted = std::min(options.yes_no_concepts, n);
  for (int64_t i = 0; i < wanted; ++i) yes_no_concepts_.insert(plan.concepts[i * n / wanted]);
  RandomStream random(setup.options.seed, "self-report/free");
  for (const int64_t i : random.Permutation(static_cast<int64_t>(plan.trials.size()))) {
    if (static_cast<int64_t>(asked_freely_.size()) >= options.free_text) break;
    asked_freely_.insert(plan.trials[static_cast<size_t>(i)].trial.id);
  }
}

void SelfReportChannels::Take(const InjectedBatch& batch) {
  AskWord(batch);
  if (!asked_freely_.empty()) AskFreely(batch);
  if (!yes_no_concepts_.empty()) AskYesNo(batch);
}

const Question& SelfReportChannels::QuestionFor(const InjectedTrial& trial,
                                                const std::string& question,
                                                const std::string& answer) {
  const auto [found, is_new] = asked_.try_emplace({trial.transcript, question + "\n" + answer});
  if (is_new) {
    const PreparedTranscript& prepared = plan_.prepared[trial.transcript];
    found->second =
        AskAfter(setup_.model, setup_.transcripts[plan_.transcripts[trial.transcript]], prepared,
                 plan_.spans[trial.transcript].after.back() + 1, question, answer);
  }
  return found->second;
}

WordContext SelfReportChannels::ContextFor(const InjectedBatch& batch, size_t i,
                                           const std::string& question, const std::string& answer) {
  const Question& asked = QuestionFor(*batch.trials[i], question, answer);
  return {asked.tokens, CutPast(batch.past[i], asked.kept)};
}

void SelfReportChannels::AskWord(const InjectedBatch& batch) {
  const auto& options = setup_.options.self_report;
  // Zero-dose trials of one transcript have one answer.
  std::vector<WordContext> contexts;
  std::map<std::pair<size_t, int64_t>, size_t> place;  // transcript (zero dose) or trial
  std::vector<size_t> context_of;
  for (size_t i = 0; i < batch.trials.size(); ++i) {
    const InjectedTrial& trial = *batch.trials[i];
    const std::pair<size_t, int64_t> key = {trial.transcript,
                                            trial.direction < 0 ? -1 : static_cast<int64_t>(i)};
    const auto [found, is_new] = place.emplace(key, contexts.size());
    if (is_new) contexts.push_back(ContextFor(batch, i, options.question, options.answer));
    context_of.push_back(found->second);
  }
  const auto scores = words_.Score(contexts);
  for (size_t i = 0; i < batch.trials.size(); ++i) {
    const InjectedTrial& trial = *batch.trials[i];
    const WordScores& words = scores[context_of[i]];
    if (trial.direction < 0) zero_words_[trial.transcript] = words;
    TrialRecord record;
    record.trial = trial.trial;
    record.channel = "self-report";
    FillFromScores(setup_.lexicon, ClassScores(setup_.lexicon, words.log_p), 1.0, record);
    sink_(record);
    const auto zero = zero_words_.find(trial.transcript);
    if (zero == zero_words_.end()) continue;
    // The shift against the same transcript without an injection, which only an experimenter knows:
    // the best that can be made of the answer. At zero dose it prefers nothing.
    record.channel = "self-report-shift";
    FillFromScores(setup_.lexicon, Shift(setup_.lexicon, words, zero->second), 1.0, record);
    // Any shift at all gives an injection away, so that this is no detector.
    record.detection = Trial::kNone;
    record.detected = record.abstained = false;
    if (trial.direction < 0) {
      record.guess.clear(), record.guess_family.clear(), record.top.clear();
      record.near = false, record.abstained = true;
    }
    sink_(record);
  }
}

void SelfReportChannels::AskFreely(const InjectedBatch& batch) {
  const auto& options = setup_.options.self_report;
  std::vector<Prompt> prompts;
  std::vector<size_t> owners;
  for (size_t i = 0; i < batch.trials.size(); ++i) {
    if (!asked_freely_.contains(batch.trials[i]->trial.id)) continue;
    WordContext context = ContextFor(batch, i, options.question, "");
    prompts.push_back({std::move(context.tokens), std::move(context.past)});
    owners.push_back(i);
  }
  if (prompts.empty()) return;
  GenerateOptions generate;
  generate.max_new_tokens = kFreeTokens;
  generate.stop_tokens = setup_.model.stop_tokens;
  generate.vocabulary = setup_.model.tokenizer->vocab_size();
  generate.seed = setup_.options.seed;
  const auto tokens = Generate(*setup_.model.transformer, prompts, generate);
  for (size_t k = 0; k < owners.size(); ++k) {
    TrialRecord record;
    record.trial = batch.trials[owners[k]]->trial;
    record.channel = "self-report-free";
    record.text = setup_.model.tokenizer->Decode(tokens[k], true);
    const int64_t word = FindWord(setup_.lexicon, record.text);
    record.refused = word < 0;
    record.abstained = word < 0;
    const int64_t truth = setup_.lexicon.Find(record.trial.concept_word);
    if (word >= 0) {
      record.guess = setup_.lexicon[word].word;
      record.guess_family = setup_.lexicon[word].family;
      record.near = truth >= 0 && (word == truth || setup_.lexicon.IsNear(truth, word));
    }
    // One word and no second choice: right, or as good as the middle of all.
    if (truth >= 0) {
      record.rank = word == truth ? 1.0 : static_cast<double>(setup_.lexicon.size()) / 2;
    }
    sink_(record);
  }
}

std::string SelfReportChannels::UnrelatedWord(const std::string& concept_word) const {
  const int64_t own = setup_.lexicon.Find(concept_word);
  const int64_t n = setup_.lexicon.size();
  // Half the lexicon away, or the next one from there that is of another family, where families
  // are known.
  const std::string& family = setup_.lexicon[own].family;
  for (int64_t step = n / 2; step < n + n / 2; ++step) {
    const Emotion& other = setup_.lexicon[(own + step) % n];
    if (other.word == kNothing || other.word == concept_word) continue;
    if (family.empty() || other.family != family) return other.word;
  }
  return concept_word;
}

void SelfReportChannels::AskYesNo(const InjectedBatch& batch) {
  std::vector<size_t> asked;
  std::vector<WordContext> contexts;
  for (size_t i = 0; i < batch.trials.size(); ++i) {
    const Trial& trial = batch.trials[i]->trial;
    if (!yes_no_concepts_.contains(trial.concept_word) ||
        !trial.id.starts_with("injected/" + trial.concept_word + "/0/")) {
      continue;
    }
    asked.push_back(i);
    const auto ask = [&](const std::string& question) {
      contexts.push_back(ContextFor(batch, i, question, ""));
    };
    ask(questions_.detection);
    ask(questions_.inverted);
    for (const std::string& question : questions_.factual_no) ask(question);
    for (const std::string& question : questions_.factual_yes) ask(question);
    ask(Filled(questions_.match, trial.concept_word));
    ask(Filled(questions_.match, UnrelatedWord(trial.concept_word)));
  }
  if (asked.empty()) return;
  const std::vector<double> d = yes_no_.Score(contexts);
  size_t next = 0;
  for (const size_t i : asked) {
    TrialRecord record;
    record.trial = batch.trials[i]->trial;
    record.channel = "yes-no";
    const auto mean = [&](size_t n) {
      double sum = 0;
      for (size_t k = 0; k < n; ++k) sum += d[next++] / static_cast<double>(n);
      return sum;
    };
    const double detection = mean(1), inverted = mean(1);
    const double factual_no = mean(questions_.factual_no.size());
    const double factual_yes = mean(questions_.factual_yes.size());
    const double match = mean(1), mismatch = mean(1);
    record.extra = {{"d detection", detection},
                    {"d factual NO", factual_no},
                    {"d inverted", inverted},
                    {"d factual YES", factual_yes},
                    {"d match", match},
                    {"d mismatch", mismatch},
                    {"detection score", detection - factual_no},
                    // A model that notices says NO to the inverted question.
                    {"inverted score", factual_yes - inverted},
                    {"match score", match - mismatch}};
    record.detection = detection - factual_no;
    record.detected = detection > 0;
    sink_(record);
  }
}

nlohmann::ordered_json SelfReportChannels::Describe() const {
  nlohmann::ordered_json object;
  object["question"] = setup_.options.self_report.question;
  object["answer_begins"] = setup_.options.self_report.answer;
  object["nothing_words"] = NothingWords();
  object["words_first_tokens_with_tail"] = words_.n_groups();
  object["yes_no"] = {
      {"concepts", yes_no_concepts_.size()},   {"detection", questions_.detection},
      {"inverted", questions_.inverted},       {"factual_no", questions_.factual_no},
      {"factual_yes", questions_.factual_yes}, {"match", questions_.match}};
  return object;
}

}  // namespace extrospect
