#include "eval/figures/verdict.h"

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace extrospect {
namespace {

using nlohmann::ordered_json;

std::string Percent(double share) {
  char text[32];
  const double percent = share * 100;
  const bool fine = std::abs(percent) < 9.95 && std::abs(percent) > 0.0;
  std::snprintf(text, sizeof text, fine ? "%.1f %%" : "%.0f %%", percent);
  return text;
}

// "+32.1 points [28.0, 36.4]"
std::string Points(const ordered_json& interval) {
  char text[96];
  std::snprintf(text, sizeof text, "%+.1f points [%.1f, %.1f]", interval[0].get<double>() * 100,
                interval[1].get<double>() * 100, interval[2].get<double>() * 100);
  return text;
}

std::string TextOf(const ordered_json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? std::string() : found->get<std::string>();
}

double Top1(const ordered_json* group) {
  if (group == nullptr || (*group)["identification"].is_null()) return -1.0;
  return (*group)["identification"]["top1"][0].get<double>();
}

// Whether the two differ beyond chance, in favour of the first.
bool Beats(const ordered_json* comparison) {
  return comparison != nullptr && (*comparison)["top1"][1].get<double>() > 0;
}

// What speaks against believing a decoder in one kind of trials ("after", "whole", or natural: "").
void CheckControls(const ordered_json& summary, const std::string& decoder,
                   const std::string& reading, ordered_json& problems) {
  const bool injected = !reading.empty();
  const std::string truth = injected ? "injected" : "natural", subset = injected ? "seen" : "test";
  const std::string doses = injected ? "all" : "";
  const std::string on = reading == "after"   ? "Behind an injection"
                         : reading == "whole" ? "Over the whole content of injected trials"
                                              : "On natural transcripts";
  const auto* const group = FindGroup(summary, truth, subset, decoder, "real", reading, doses);
  if (group == nullptr) return;
  std::string survivors;
  double real = 0;
  for (const std::string control : {"shuffled", "random", "zeroed"}) {
    const auto* const comparison =
        FindComparison(summary, truth, subset, decoder, reading, decoder, control);
    if (comparison == nullptr) {
      problems.push_back(on + " the " + control + " control of the " + decoder +
                         " decoder is missing.");
      continue;
    }
    real = (*comparison)["a_top1"];
    const double fake = (*comparison)["b_top1"];
    if (Beats(comparison) && fake <= real / 2) continue;
    survivors += (survivors.empty() ? "" : ", ") + control + " " + Percent(fake);
  }
  if (!survivors.empty()) {
    problems.push_back(on + " the " + decoder + " decoder names the emotion in " + Percent(real) +
                       " of trials, which is not told apart from its controls (" + survivors +
                       "): it reads nothing there that could be interpreted.");
  }
  const ordered_json& detection = (*group)["detection"];
  if (detection.is_null() || detection["false_alarm_rate"].is_null()) {
    problems.push_back(on + " there are no trials without a feeling for the " + decoder +
                       " decoder: its false alarms are unknown.");
  } else if (detection["false_alarm_rate"][0].get<double>() > kMaxFalseAlarms) {
    problems.push_back(on + " the " + decoder + " decoder reports a feeling in " +
                       Percent(detection["false_alarm_rate"][0]) +
                       " of trials where there is none (more than the " + Percent(kMaxFalseAlarms) +
                       " that would be under control), so its detections cannot be interpreted.");
  }
}

// "the probe decoder", and that it was picked by the very trials that it is praised for.
std::string Named(const SummaryOptions& options, const std::string& decoder) {
  const size_t n = options.decoders.size();
  return "the " + decoder + " decoder" +
         (n > 1 ? " (the best of " + std::to_string(n) + " here)" : "");
}

// A decoder's reading of injected trials against the self-report at its best; null without one.
const ordered_json* AgainstSelfReport(const ordered_json& summary, const SummaryOptions& options,
                                      const std::string& decoder, const std::string& reading) {
  const ordered_json* best = nullptr;
  for (const std::string& channel : options.self_channels) {
    const auto* const found =
        FindComparison(summary, "injected", "seen", decoder, reading, channel, "real");
    if (found != nullptr && (best == nullptr || (*found)["b_top1"] > (*best)["b_top1"])) {
      best = found;
    }
  }
  return best;
}

std::string InjectedSentence(const ordered_json& summary, const SummaryOptions& options,
                             const std::string& decoder) {
  const ordered_json* const self = AgainstSelfReport(summary, options, decoder, "after");
  const auto* const text =
      FindComparison(summary, "injected", "seen", decoder, "after", options.text_channel, "real");
  const auto* const group = FindGroup(summary, "injected", "seen", decoder, "real", "after", "all");
  std::string sentence;
  if (self == nullptr) {
    sentence = "Behind an injection " + Named(options, decoder) + " names the emotion in " +
               Percent((*group)["identification"]["top1"][0]) + " of trials";
  } else {
    const ordered_json& difference = (*self)["top1"];
    const bool wins = difference[1].get<double>() > 0, loses = difference[2].get<double>() < 0;
    sentence = (wins    ? "Reading the activations beats asking the model: behind an injection "
                : loses ? "Asking the model beats reading its activations: behind an injection "
                        : "Behind an injection, reading the activations and asking the model "
                          "cannot be told apart: ") +
               Named(options, decoder) + " names the emotion in " + Percent((*self)["a_top1"]) +
               " of trials, the model's own answer in " + Percent((*self)["b_top1"]) + " (" +
               Points(difference) + ")";
  }
  if (text != nullptr) {
    sentence += (self != nullptr ? "; " : ", ");
    sentence += "a reader of the text alone manages " + Percent((*text)["b_top1"]);
  }
  return sentence + ".";
}

std::string WholeSentence(const ordered_json& summary, const SummaryOptions& options,
                          const std::string& decoder) {
  const ordered_json* const self = AgainstSelfReport(summary, options, decoder, "whole");
  if (self == nullptr) return "";
  return "Over the whole content, injected tokens included, some blocks above the injection, it "
         "is " +
         Percent((*self)["a_top1"]) + " against " + Percent((*self)["b_top1"]) +
         " for the model's own answer (" + Points((*self)["top1"]) + ").";
}

std::string NaturalSentence(const ordered_json& summary, const SummaryOptions& options,
                            const std::string& decoder) {
  const auto* const text =
      FindComparison(summary, "natural", "test", decoder, "", options.text_channel, "real");
  const auto* const group = FindGroup(summary, "natural", "test", decoder, "real", "", "");
  std::string sentence = "On unseen situations " + Named(options, decoder) +
                         " names the emotion that the author meant in " +
                         Percent((*group)["identification"]["top1"][0]) + " of transcripts";
  if (text != nullptr) {
    sentence += "; where the same model also read the text and was asked, that gave " +
                Percent((*text)["b_top1"]) + ", a difference of " + Points((*text)["top1"]);
  }
  return sentence + ".";
}

}  // namespace

const ordered_json* FindGroup(const ordered_json& summary, const std::string& truth,
                              const std::string& subset, const std::string& channel,
                              const std::string& variant, const std::string& reading,
                              const std::string& dose_level) {
  for (const ordered_json& group : summary["groups"]) {
    if (group["truth"] == truth && group["subset"] == subset && group["channel"] == channel &&
        group["variant"] == variant && TextOf(group, "reading") == reading &&
        TextOf(group, "dose_level") == dose_level) {
      return &group;
    }
  }
  return nullptr;
}

const ordered_json* FindComparison(const ordered_json& summary, const std::string& truth,
                                   const std::string& subset, const std::string& a,
                                   const std::string& reading, const std::string& b,
                                   const std::string& variant) {
  for (const ordered_json& entry : summary["comparisons"]) {
    const std::string dose = TextOf(entry, "dose_level");
    if (entry["truth"] == truth && entry["subset"] == subset && (dose.empty() || dose == "all") &&
        entry["a"]["channel"] == a && TextOf(entry["a"], "reading") == reading &&
        entry["b"]["channel"] == b && entry["b"]["variant"] == variant) {
      return &entry;
    }
  }
  return nullptr;
}

ordered_json Judge(const ordered_json& summary, const SummaryOptions& options) {
  ordered_json verdict;
  ordered_json problems = ordered_json::array(), notes = ordered_json::array();
  std::string best_injected, best_natural;
  double top_injected = -1, top_natural = -1;
  for (const std::string& decoder : options.decoders) {
    const double injected =
        Top1(FindGroup(summary, "injected", "seen", decoder, "real", "after", "all"));
    const double natural = Top1(FindGroup(summary, "natural", "test", decoder, "real", "", ""));
    if (injected > top_injected) best_injected = decoder, top_injected = injected;
    if (natural > top_natural) best_natural = decoder, top_natural = natural;
  }
  // What the verdict rests on has to stand; that a weaker decoder reads nothing is worth a note.
  for (const std::string& decoder : options.decoders) {
    const bool named = decoder == best_injected || decoder == best_natural;
    for (const char* reading : {"after", "whole", ""}) {
      CheckControls(summary, decoder, reading, named ? problems : notes);
    }
  }
  verdict["decoder"] = best_injected.empty() ? best_natural : best_injected;
  verdict["injected"] =
      best_injected.empty() ? "" : InjectedSentence(summary, options, best_injected);
  verdict["whole"] = best_injected.empty() ? "" : WholeSentence(summary, options, best_injected);
  verdict["natural"] = best_natural.empty() ? "" : NaturalSentence(summary, options, best_natural);
  verdict["sentence"] = best_injected.empty() ? verdict["natural"] : verdict["injected"];
  if (verdict["sentence"].get<std::string>().empty()) {
    verdict["sentence"] = "No decoder was evaluated.";
    problems.push_back("No decoder was evaluated.");
  }
  // Which direction was injected must matter, not merely that something was.
  for (const std::string& decoder : options.decoders) {
    const auto* const real =
        FindGroup(summary, "injected", "seen", decoder, "real", "after", "all");
    const auto* const random =
        FindGroup(summary, "injected", "random", decoder, "real", "after", "all");
    if (real == nullptr || random == nullptr) continue;
    const ordered_json &a = (*real)["detection"], &b = (*random)["detection"];
    if (a.is_null() || b.is_null()) continue;
    const double hits = a["hit_rate"][0], random_hits = b["hit_rate"][0];
    if (random_hits > hits / 2 && random_hits > kMaxFalseAlarms) {
      notes.push_back(
          "The " + decoder + " decoder also reports a feeling in " + Percent(random_hits) +
          " of trials with a random direction of the same norm (emotions: " + Percent(hits) +
          "): much of its detection is of something unusual, not of an emotion.");
    }
  }
  verdict["interpretable"] = problems.empty();
  verdict["problems"] = std::move(problems);
  verdict["notes"] = std::move(notes);
  return verdict;
}

}  // namespace extrospect
