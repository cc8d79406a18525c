#include "eval/figures/trial_record.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/bounded_json.h"
#include "base/error.h"
#include "base/file.h"
#include "eval/figures/metrics.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;

constexpr size_t kTopClasses = 10;

double Round(double value) { return std::round(value * 1e6) / 1e6; }

void Put(ordered_json& object, const char* key, double value) {
  if (std::isfinite(value)) object[key] = Round(value);
}
void Put(ordered_json& object, const char* key, const std::string& value) {
  if (!value.empty()) object[key] = value;
}

// Reads fields, with errors that name them.
class FieldReader {
 public:
  FieldReader(const nlohmann::json& object, const std::string& where)
      : object_(object), where_(where) {}

  template <typename T>
  void Read(const char* key, T& value) const {
    const auto found = object_.find(key);
    if (found == object_.end()) return;
    try {
      found->get_to(value);
    } catch (const nlohmann::json::exception&) {
      throw Error("a line of trials cannot be read")
          .At(where_ + ", field '" + key + "'")
          .Expected("the type that the format gives it")
          .Found(found->dump().substr(0, 60));
    }
  }

 private:
  const nlohmann::json& object_;
  const std::string& where_;
};

}  // namespace

std::string ToJson(const TrialRecord& record) {
  const Trial& trial = record.trial;
  ordered_json line;
  line["id"] = trial.id;
  line["truth"] = trial.truth;
  line["subset"] = trial.subset;
  Put(line, "concept", trial.concept_word);
  if (trial.labels.size() > 1) line["labels"] = trial.labels;
  Put(line, "family", trial.family);
  Put(line, "truth_valence", trial.truth_valence);
  Put(line, "truth_arousal", trial.truth_arousal);
  line["transcript"] = trial.transcript;
  Put(line, "holder", trial.holder);
  line["seed"] = trial.seed;
  if (trial.injected()) {
    line["dose_level"] = trial.dose_level;
    Put(line, "dose", trial.dose);
    Put(line, "raw", trial.raw);
    line["block"] = trial.block;
    line["span"] = {trial.span_first, trial.span_last};
  }
  line["channel"] = record.channel;
  line["variant"] = record.variant;
  Put(line, "reading", record.reading);
  if (!record.hook.empty()) {
    line["hook"] = record.hook;
    line["read"] = {record.first_position, record.position};
  }
  if (!record.top.empty()) {
    auto& top = line["top"] = ordered_json::array();
    for (const EmotionProbability& item : record.top) {
      top.push_back({{"name", item.name}, {"p", Round(item.p)}});
    }
  }
  if (!record.guess.empty()) {
    line["guess"] = record.guess;
    line["guess_family"] = record.guess_family;
    line["near"] = record.near;
    line["correct"] = record.correct;
  }
  Put(line, "rank", record.rank);
  Put(line, "p_truth", record.p_truth);
  Put(line, "p_nothing", record.p_nothing);
  Put(line, "confidence", record.confidence);
  Put(line, "brier", record.brier);
  Put(line, "valence", record.valence);
  Put(line, "arousal", record.arousal);
  Put(line, "detection", record.detection);
  if (record.has_detection()) line["detected"] = record.detected;
  line["abstained"] = record.abstained;
  if (record.refused) line["refused"] = true;
  Put(line, "text", record.text);
  if (!record.extra.empty()) {
    for (const auto& [name, value] : record.extra) line["extra"][name] = Round(value);
  }
  return line.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

TrialRecord ParseTrialRecord(std::string_view text, const std::string& where) {
  const auto line = ParseBoundedJson(text, where);
  if (!line.is_object()) throw Error("a line of trials is not a JSON object").At(where);
  const FieldReader read(line, where);
  TrialRecord record;
  Trial& trial = record.trial;
  read.Read("id", trial.id);
  read.Read("truth", trial.truth);
  read.Read("subset", trial.subset);
  read.Read("concept", trial.concept_word);
  read.Read("labels", trial.labels);
  if (trial.labels.empty() && !trial.concept_word.empty()) trial.labels = {trial.concept_word};
  read.Read("family", trial.family);
  read.Read("truth_valence", trial.truth_valence);
  read.Read("truth_arousal", trial.truth_arousal);
  read.Read("transcript", trial.transcript);
  read.Read("holder", trial.holder);
  read.Read("seed", trial.seed);
  read.Read("dose_level", trial.dose_level);
  read.Read("dose", trial.dose);
  read.Read("raw", trial.raw);
  read.Read("block", trial.block);
  std::array<uint32_t, 2> pair = {};
  read.Read("span", pair);
  trial.span_first = pair[0], trial.span_last = pair[1];
  read.Read("channel", record.channel);
  read.Read("variant", record.variant);
  read.Read("reading", record.reading);
  read.Read("hook", record.hook);
  pair = {};
  read.Read("read", pair);
  record.first_position = pair[0], record.position = pair[1];
  if (const auto top = line.find("top"); top != line.end() && top->is_array()) {
    for (const auto& item : *top) {
      if (!item.is_object())
        throw Error("a line of trials cannot be read").At(where + ", field 'top'");
      EmotionProbability& entry = record.top.emplace_back();
      const FieldReader read_item(item, where);
      read_item.Read("name", entry.name);
      read_item.Read("p", entry.p);
    }
  }
  read.Read("guess", record.guess);
  read.Read("guess_family", record.guess_family);
  read.Read("near", record.near);
  read.Read("correct", record.correct);
  read.Read("rank", record.rank);
  read.Read("p_truth", record.p_truth);
  read.Read("p_nothing", record.p_nothing);
  read.Read("confidence", record.confidence);
  read.Read("brier", record.brier);
  read.Read("valence", record.valence);
  read.Read("arousal", record.arousal);
  read.Read("detection", record.detection);
  read.Read("detected", record.detected);
  read.Read("abstained", record.abstained);
  read.Read("refused", record.refused);
  read.Read("text", record.text);
  read.Read("extra", record.extra);
  if (trial.id.empty() || record.channel.empty() ||
      (trial.truth != "natural" && trial.truth != "injected")) {
    throw Error("a line of trials lacks what every line has")
        .At(where)
        .Expected("id, truth (natural or injected) and channel");
  }
  return record;
}

std::vector<TrialRecord> ReadTrialRecords(const std::filesystem::path& path) {
  const std::string bytes = ReadFile(path);
  std::string_view rest = bytes;
  std::vector<TrialRecord> records;
  for (int64_t number = 1; !rest.empty(); ++number) {
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    if (line.empty()) continue;
    records.push_back(ParseTrialRecord(line, path.string() + ", line " + std::to_string(number)));
  }
  return records;
}

bool IsRight(const TrialRecord& record) { return record.rank <= 1.0; }

const std::string& FamilyRead(const TrialRecord& record) {
  return IsRight(record) ? record.trial.family : record.guess_family;
}

bool IsRightFamily(const TrialRecord& record) {
  return IsRight(record) ||
         (!record.trial.family.empty() && record.guess_family == record.trial.family);
}

void FillFromDistribution(const Lexicon& lexicon, const std::vector<double>& log_p,
                          double abstain_below, TrialRecord& record) {
  const int64_t n = lexicon.size(), nothing = lexicon.nothing();
  std::vector<double> p(n);
  std::vector<int64_t> order(n);
  std::iota(order.begin(), order.end(), int64_t{0});
  double squares = 0;
  for (int64_t i = 0; i < n; ++i) {
    p[i] = std::exp(log_p[i]);
    squares += p[i] * p[i];
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return log_p[a] > log_p[b]; });
  record.top.clear();
  for (size_t i = 0; i < std::min(kTopClasses, order.size()); ++i) {
    record.top.push_back({lexicon[order[i]].word, p[order[i]]});
  }
  const int64_t best = order.front();
  const int64_t guess = best == nothing && n > 1 ? order[1] : best;
  record.guess = lexicon[guess].word;
  record.guess_family = lexicon[guess].family;
  record.confidence = p[best];
  record.p_nothing = p[nothing];
  record.detection = 1.0 - p[nothing];
  record.abstained = best == nothing || record.detection < abstain_below;
  record.detected = !record.abstained;

  // Where nothing was injected, the truth that probabilities are judged by is kNothing.
  const bool signal = record.trial.signal();
  std::vector<double> emotions = log_p;  // ranks are among the emotions
  emotions[nothing] = -std::numeric_limits<double>::infinity();
  record.near = record.correct = false;
  record.rank = record.p_truth = record.brier = Trial::kNone;
  const auto judge = [&](int64_t truth) {
    const double brier = squares - 2 * p[truth] + 1;
    if (!(record.brier <= brier)) {
      record.brier = brier;
      record.p_truth = p[truth];
    }
    record.correct |= best == truth;
  };
  for (const std::string& label : record.trial.labels) {
    const int64_t truth = lexicon.Find(label);
    if (truth < 0 || truth == nothing) continue;
    const double rank = MidRank(emotions, truth);
    if (!(record.rank <= rank)) record.rank = rank;
    record.near |= guess == truth || lexicon.IsNear(truth, guess);
    if (signal) judge(truth);
  }
  if (!signal) judge(nothing);
}

}  // namespace extrospect
