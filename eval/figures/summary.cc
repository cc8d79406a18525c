#include "eval/figures/summary.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <tuple>

#include "base/calibration.h"
#include "eval/figures/metrics.h"
#include "eval/figures/verdict.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;
using Records = std::vector<const TrialRecord*>;

constexpr const char* kAllDoses = "all";

ordered_json Number(double value) {
  if (!std::isfinite(value)) return nullptr;
  return std::round(value * 1e6) / 1e6;
}
ordered_json Interval(const Estimate& estimate) {
  if (!std::isfinite(estimate.value)) return nullptr;
  return {Number(estimate.value), Number(estimate.low), Number(estimate.high)};
}

// Injected trials of one concept (or one random direction) belong together, at whatever dose.
std::string ClusterOf(const Trial& trial) {
  if (!trial.injected()) return trial.id;
  return trial.concept_word.empty() ? trial.id.substr(0, trial.id.rfind('/')) : trial.concept_word;
}

std::vector<ClusteredValue> Clustered(const Records& records,
                                      const std::function<double(const TrialRecord&)>& value) {
  std::map<std::string, int64_t> clusters;
  std::vector<ClusteredValue> values;
  for (const TrialRecord* record : records) {
    const auto next = static_cast<int64_t>(clusters.size());
    values.push_back(
        {clusters.emplace(ClusterOf(record->trial), next).first->second, value(*record)});
  }
  return values;
}

ordered_json Share(const Records& records, const std::function<bool(const TrialRecord&)>& is) {
  return Interval(ClusteredShare(Clustered(records, is)));
}

// What names a group, in the order of the file.
struct GroupKey {
  std::string truth, subset, channel, variant, reading, dose_level;
  auto operator<=>(const GroupKey&) const = default;

  std::string Text() const {
    return truth + "/" + subset + "/" + channel + "/" + variant + "/" + reading + "/" + dose_level;
  }
};

GroupKey KeyOf(const TrialRecord& record) {
  return {record.trial.truth, record.trial.subset, record.channel,
          record.variant,     record.reading,      record.trial.dose_level};
}

ordered_json Identification(const Records& all, const GroupKey& key,
                            const SummaryOptions& options) {
  Records records;
  std::vector<std::string> truth, guess, truth_family, guess_family;
  std::vector<double> ranks;
  for (const TrialRecord* record : all) {
    if (!std::isfinite(record->rank)) continue;
    records.push_back(record);
    ranks.push_back(record->rank);
    // A channel without a preference guesses nothing.
    const bool tied = !IsRight(*record) && record->guess.empty();
    truth.push_back(record->trial.concept_word);
    guess.push_back(IsRight(*record) ? record->trial.concept_word : tied ? "" : record->guess);
    truth_family.push_back(record->trial.family);
    guess_family.push_back(FamilyRead(*record));
  }
  if (records.empty()) return nullptr;
  std::sort(ranks.begin(), ranks.end());
  ordered_json figures;
  figures["n"] = records.size();
  figures["top1"] = Share(records, IsRight);
  figures["top5"] = Share(records, [](const TrialRecord& r) { return r.rank <= 5.0; });
  figures["near"] = Share(records, [](const TrialRecord& r) { return r.near; });
  figures["family"] = Share(records, IsRightFamily);
  figures["macro_f1"] = Number(MacroF1(truth, guess));
  figures["median_rank"] = Number(SortedQuantile(ranks, 0.5));
  const auto information = [&](const auto& t, const auto& g, const std::string& stream) {
    const MutualInformation bits = InformationBits(t, g, static_cast<int>(options.shuffles),
                                                   options.seed, stream + "/" + key.Text());
    return ordered_json{{"bits", Number(bits.bits)},
                        {"plug_in", Number(bits.plug_in)},
                        {"shuffled", Number(bits.shuffled)}};
  };
  figures["information"] = information(truth, guess, "information");
  figures["family_information"] = information(truth_family, guess_family, "family information");
  return figures;
}

ordered_json Detection(const Records& records, const Records& noise) {
  const auto detected = [](const TrialRecord& record) { return record.detected; };
  Records signals;
  for (const TrialRecord* record : records) {
    if (record->has_detection() && record->trial.signal()) signals.push_back(record);
  }
  std::vector<double> noise_scores;
  int64_t false_alarms = 0;
  // A zero-dose trial does not depend on the concept that it stands beside: one a transcript.
  std::set<std::string> seen;
  for (const TrialRecord* record : noise) {
    if (!record->has_detection() || !seen.insert(record->trial.transcript).second) continue;
    noise_scores.push_back(record->detection);
    false_alarms += record->detected;
  }
  if (signals.empty()) return nullptr;
  const auto hits = std::count_if(signals.begin(), signals.end(),
                                  [](const auto* record) { return record->detected; });
  const std::vector<ClusteredValue> scores =
      Clustered(signals, [](const TrialRecord& record) { return record.detection; });
  const auto n_signal = static_cast<int64_t>(signals.size());
  const auto n_noise = static_cast<int64_t>(noise_scores.size());
  ordered_json figures;
  figures["n_signal"] = n_signal;
  figures["n_noise"] = n_noise;
  figures["hit_rate"] = Share(signals, detected);
  figures["false_alarm_rate"] = Interval(WilsonInterval(false_alarms, n_noise));
  figures["d_prime"] = Number(DPrime(hits, n_signal, false_alarms, n_noise));
  figures["auroc"] = Interval(Auroc(scores, noise_scores));
  figures["mean_signal"] = Number(ClusteredMean(scores).value);
  figures["mean_noise"] = Number(Mean(noise_scores));
  return figures;
}

ordered_json Affect(const Records& records, double TrialRecord::*said, double Trial::*truth) {
  std::vector<double> x, y;
  double error = 0;
  for (const TrialRecord* record : records) {
    const double a = record->*said, b = record->trial.*truth;
    if (!std::isfinite(a) || !std::isfinite(b)) continue;
    x.push_back(a);
    y.push_back(b);
    error += std::abs(a - b);
  }
  if (x.empty()) return nullptr;
  return {{"n", x.size()},
          {"mae", Number(error / static_cast<double>(x.size()))},
          {"correlation", Number(Pearson(x, y))}};
}

ordered_json Calibration(const Records& records) {
  std::vector<double> confidence, brier;
  std::vector<bool> correct;
  for (const TrialRecord* record : records) {
    if (!std::isfinite(record->confidence) || !std::isfinite(record->brier)) continue;
    confidence.push_back(record->confidence);
    correct.push_back(record->correct);
    brier.push_back(record->brier);
  }
  if (confidence.empty()) return nullptr;
  const std::vector<CalibrationBin> bins = CalibrationBins(confidence, correct);
  ordered_json figures;
  figures["n"] = confidence.size();
  figures["accuracy"] =
      Number(static_cast<double>(std::count(correct.begin(), correct.end(), true)) /
             static_cast<double>(correct.size()));
  figures["mean_confidence"] = Number(Mean(confidence));
  figures["ece"] = Number(ExpectedCalibrationError(bins));
  figures["ece_by_chance"] = Number(CalibrationErrorByChance(bins));
  figures["brier"] = Number(Mean(brier));
  auto& list = figures["bins"] = ordered_json::array();
  for (const CalibrationBin& bin : bins) {
    list.push_back(
        {{"n", bin.n}, {"confidence", Number(bin.confidence)}, {"accuracy", Number(bin.accuracy)}});
  }
  return figures;
}

ordered_json Extra(const Records& records) {
  std::map<std::string, Records> with;
  for (const TrialRecord* record : records) {
    for (const auto& [name, value] : record->extra) with[name].push_back(record);
  }
  ordered_json figures = ordered_json::object();
  for (const auto& [name, members] : with) {
    figures[name] = Interval(ClusteredMean(
        Clustered(members, [&name](const TrialRecord& r) { return r.extra.at(name); })));
  }
  return figures;
}

ordered_json Group(const GroupKey& key, const Records& records, const Records& noise,
                   const SummaryOptions& options) {
  ordered_json group;
  group["truth"] = key.truth;
  group["subset"] = key.subset;
  group["channel"] = key.channel;
  group["variant"] = key.variant;
  if (!key.reading.empty()) group["reading"] = key.reading;
  if (!key.dose_level.empty()) group["dose_level"] = key.dose_level;
  double dose = 0;
  std::set<std::string> transcripts, concepts;
  for (const TrialRecord* record : records) {
    transcripts.insert(record->trial.transcript);
    concepts.insert(record->trial.concept_word);
    dose += record->trial.dose / static_cast<double>(records.size());
  }
  if (std::isfinite(dose)) group["mean_dose"] = Number(dose);
  group["n"] = records.size();
  group["n_transcripts"] = transcripts.size();
  group["n_concepts"] = concepts.size();
  group["identification"] = Identification(records, key, options);
  group["detection"] = Detection(records, noise);
  group["valence"] = Affect(records, &TrialRecord::valence, &Trial::truth_valence);
  group["arousal"] = Affect(records, &TrialRecord::arousal, &Trial::truth_arousal);
  group["calibration"] = Calibration(records);
  group["abstained"] = Share(records, [](const TrialRecord& r) { return r.abstained; });
  group["refused"] = Share(records, [](const TrialRecord& r) { return r.refused; });
  if (ordered_json extra = Extra(records); !extra.empty()) group["extra"] = std::move(extra);
  return group;
}

// One side of a paired comparison.
struct Side {
  std::string channel, variant = "real", reading;
};

class Comparer {
 public:
  Comparer(const std::map<GroupKey, Records>& groups, const SummaryOptions& options)
      : groups_(groups), options_(options) {}

  // Adds a − b on the trials that both have, if there are any.
  void Add(const std::string& truth, const std::string& subset, const std::string& dose_level,
           const Side& a, const Side& b) {
    const Records* const left = Find({truth, subset, a.channel, a.variant, a.reading, dose_level});
    const Records* const right = Find({truth, subset, b.channel, b.variant, b.reading, dose_level});
    if (left == nullptr || right == nullptr) return;
    std::map<std::string, const TrialRecord*> by_id;
    for (const TrialRecord* record : *right) by_id[record->trial.id] = record;
    std::map<std::string, int64_t> clusters;
    std::vector<ClusteredValue> top1, top5;
    double sum_a = 0, sum_b = 0;
    for (const TrialRecord* record : *left) {
      const auto found = by_id.find(record->trial.id);
      if (found == by_id.end() || !std::isfinite(record->rank) ||
          !std::isfinite(found->second->rank)) {
        continue;
      }
      const TrialRecord& other = *found->second;
      const int64_t cluster =
          clusters.emplace(record->trial.concept_word, static_cast<int64_t>(clusters.size()))
              .first->second;
      const auto value = [&](double limit) {
        return static_cast<double>(record->rank <= limit) -
               static_cast<double>(other.rank <= limit);
      };
      top1.push_back({cluster, value(1.0)});
      top5.push_back({cluster, value(5.0)});
      sum_a += IsRight(*record);
      sum_b += IsRight(other);
    }
    if (top1.empty()) return;
    const auto n = static_cast<double>(top1.size());
    ordered_json entry;
    entry["truth"] = truth;
    entry["subset"] = subset;
    if (!dose_level.empty()) entry["dose_level"] = dose_level;
    const auto side = [](const Side& s) {
      ordered_json object = {{"channel", s.channel}, {"variant", s.variant}};
      if (!s.reading.empty()) object["reading"] = s.reading;
      return object;
    };
    entry["a"] = side(a);
    entry["b"] = side(b);
    entry["n_trials"] = top1.size();
    entry["n_concepts"] = clusters.size();
    entry["a_top1"] = Number(sum_a / n);
    entry["b_top1"] = Number(sum_b / n);
    const std::string stream = "bootstrap/" + truth + "/" + subset + "/" + dose_level + "/" +
                               a.channel + "/" + a.variant + "/" + a.reading + "/" + b.channel +
                               "/" + b.variant + "/" + b.reading;
    entry["top1"] =
        Interval(ClusterBootstrap(top1, options_.bootstrap, options_.seed, stream + "/top1"));
    entry["top5"] =
        Interval(ClusterBootstrap(top5, options_.bootstrap, options_.seed, stream + "/top5"));
    result.push_back(std::move(entry));
  }

  ordered_json result = ordered_json::array();

 private:
  const Records* Find(const GroupKey& key) const {
    const auto found = groups_.find(key);
    return found == groups_.end() ? nullptr : &found->second;
  }

  const std::map<GroupKey, Records>& groups_;
  const SummaryOptions& options_;
};

ordered_json Comparisons(const std::map<GroupKey, Records>& groups, const SummaryOptions& options) {
  Comparer comparer(groups, options);
  std::set<std::string> doses = {kAllDoses};
  for (const auto& [key, records] : groups) {
    if (key.truth == "injected" && key.dose_level != "0") doses.insert(key.dose_level);
  }
  for (const std::string& decoder : options.decoders) {
    for (const std::string subset : {"seen", "unseen"}) {
      for (const std::string& dose : doses) {
        for (const std::string reading : {"after", "whole"}) {
          const Side real{decoder, "real", reading};
          for (const std::string& self : options.self_channels) {
            comparer.Add("injected", subset, dose, real, {self, "real", ""});
          }
          comparer.Add("injected", subset, dose, real, {options.text_channel, "real", ""});
          for (const char* control : {"shuffled", "zeroed", "random"}) {
            comparer.Add("injected", subset, dose, real, {decoder, control, reading});
          }
        }
      }
    }
    for (const std::string subset : {"test", "unseen"}) {
      const Side real{decoder, "real", ""};
      comparer.Add("natural", subset, "", real, {options.text_channel, "real", ""});
      for (const char* control : {"shuffled", "zeroed", "random"}) {
        comparer.Add("natural", subset, "", real, {decoder, control, ""});
      }
      for (const char* floor : {"bag-of-words", "prior"}) {
        comparer.Add("natural", subset, "", real, {floor, "real", ""});
      }
    }
  }
  return comparer.result;
}

}  // namespace

ordered_json Summarize(const std::vector<TrialRecord>& records, const SummaryOptions& options) {
  std::map<GroupKey, Records> groups;
  for (const TrialRecord& record : records) {
    GroupKey key = KeyOf(record);
    groups[key].push_back(&record);
    if (record.trial.injected() && record.trial.dose > 0) {
      key.dose_level = kAllDoses;
      groups[key].push_back(&record);
    }
  }
  ordered_json summary;
  auto& list = summary["groups"] = ordered_json::array();
  for (const auto& [key, members] : groups) {
    // What the group's signals have to be told from.
    Records noise;
    if (key.truth == "injected") {
      for (const char* subset : {"seen", "unseen", "random"}) {
        const auto zero =
            groups.find({key.truth, subset, key.channel, key.variant, key.reading, "0"});
        if (zero != groups.end()) {
          noise.insert(noise.end(), zero->second.begin(), zero->second.end());
        }
      }
    } else {
      const auto test = groups.find({key.truth, "test", key.channel, key.variant, key.reading, ""});
      if (test != groups.end()) {
        std::copy_if(test->second.begin(), test->second.end(), std::back_inserter(noise),
                     [](const TrialRecord* record) { return !record->trial.signal(); });
      }
    }
    list.push_back(Group(key, members, noise, options));
  }
  summary["comparisons"] = Comparisons(groups, options);
  summary["verdict"] = Judge(summary, options);
  return summary;
}

}  // namespace extrospect
