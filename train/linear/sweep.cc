#include "train/linear/sweep.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "base/text.h"
#include "decode/probe.h"
#include "model/hooks.h"
#include "train/judge.h"
#include "train/linear/linear.h"
#include "train/linear/standardise.h"

namespace extrospect {
namespace {

// Pairs of hooks that are worth trying are at least this many blocks apart: neighbours say the
// same.
constexpr int64_t kMinDistance = 2;
// How many of the best single hooks are tried as partners.
constexpr size_t kPartners = 6;

struct SweepEntry {
  std::string selection;
  std::vector<std::string> hooks;
  Judgement dev;  // calibrated on dev, see QuickProbe
};

// A quick probe on the given features. A transcript of dev that has no row there counts as a guess
// among all classes: what is not read cannot be told, and few easy rows are no merit.
Judgement QuickProbe(const RowSet& set, const LabelledTranscripts& transcripts,
                     const Config& config) {
  const Lexicon& lexicon = transcripts.lexicon();
  const at::Tensor train = set.Indices("train").to(set.rows.device());
  const at::Tensor dev = set.Indices("dev").to(set.rows.device());
  const double guess = std::log(static_cast<double>(lexicon.size()));
  Judgement judgement;
  judgement.cross_entropy = guess;
  if (train.size(0) == 0 || dev.size(0) == 0) return judgement;
  const at::Tensor x = set.rows.reshape({set.rows.size(0), -1});
  const Standardiser standardise(x.index_select(0, train));
  const DiscriminantAnalysis analysis(lexicon, standardise(x.index_select(0, train)),
                                      set.targets.index_select(0, train));
  // More features need a firmer hand: the shrinkage is for one hook.
  const double shrinkage = config.Number("sweep.shrinkage");
  const auto hooks = static_cast<double>(set.rows.size(1));
  const LinearMap map = analysis.Solve(1 - (1 - shrinkage) / hooks, config.Number("sweep.pull"));
  const at::Tensor logits = map(standardise(x.index_select(0, dev)));
  const at::Tensor targets = set.targets.index_select(0, dev);
  const at::Tensor log_p = at::log_softmax(logits / FitTemperature(logits, targets), 1);
  judgement = Judge(lexicon, log_p, set.label.index_select(0, dev), targets);
  std::set<int64_t> read;
  for (const int64_t row : set.split.at("dev")) read.insert(set.example[static_cast<size_t>(row)]);
  const auto& examples = transcripts.examples();
  const auto wanted = static_cast<double>(
      std::count_if(examples.begin(), examples.end(),
                    [](const Example& example) { return example.split == "dev"; }));
  const double share = static_cast<double>(read.size()) / wanted;
  judgement.cross_entropy = share * judgement.cross_entropy + (1 - share) * guess;
  return judgement;
}

void Report(const SweepEntry& entry, MetricsLog& log) {
  log.Add({{"event", "sweep"},
           {"selection", entry.selection},
           {"hooks", entry.hooks},
           {"dev", entry.dev.ToJson()}});
}

void PrintTable(const std::vector<SweepEntry>& entries, std::FILE* stream) {
  std::vector<const SweepEntry*> best;
  for (const SweepEntry& entry : entries) best.push_back(&entry);
  std::sort(best.begin(), best.end(), [](const SweepEntry* a, const SweepEntry* b) {
    return a->dev.cross_entropy < b->dev.cross_entropy;
  });
  std::fprintf(stream, "  %-14s %-52s %6s %6s %6s %7s\n", "selection", "hooks", "top-1", "near",
               "top-5", "nats");
  for (size_t i = 0; i < std::min<size_t>(best.size(), 10); ++i) {
    const std::string hooks = Join(best[i]->hooks, " + ");
    const Judgement& dev = best[i]->dev;
    std::fprintf(stream, "  %-14s %-52s %5.1f%% %5.1f%% %5.1f%% %7.3f\n",
                 best[i]->selection.c_str(), hooks.c_str(), 100 * dev.top1, 100 * dev.near,
                 100 * dev.top5, dev.cross_entropy);
  }
}

}  // namespace

RowSource ChooseRows(const ActivationReader& reader, const LabelledTranscripts& transcripts,
                     const Config& config, at::Device device, MetricsLog& log,
                     std::FILE* progress) {
  const FileSelections file = SelectionsOf(reader);
  RowSource choice;
  choice.pool = config.Text("pool");
  if (choice.pool == "auto") choice.pool = file.pool == "none" ? "attention" : "mean";
  const std::string quick_pool = choice.pool == "none" ? "none" : "mean";
  const bool hooks_open = config.TextList("hooks") == std::vector<std::string>{"auto"};
  const bool selection_open = config.Text("selection") == "auto";

  std::vector<std::string> selections = {config.Text("selection")};
  if (selection_open) {
    selections = config.TextList("sweep.selections");
    if (selections == std::vector<std::string>{"all"}) selections = file.names;
  }
  // Each entry is tried as it is: one hook, or the given ones together.
  std::vector<std::vector<std::string>> candidates = {config.TextList("hooks")};
  if (std::set<std::string>(candidates[0].begin(), candidates[0].end()).size() <
      candidates[0].size()) {
    throw UsageError("a hook is named twice").At("hooks").Expected("each hook once");
  }
  if (hooks_open) {
    std::vector<std::string> hooks = config.TextList("sweep.hooks");
    if (hooks == std::vector<std::string>{"all"}) hooks = reader.hooks();
    candidates.clear();
    for (const std::string& hook : hooks) candidates.push_back({hook});
  }
  if (selections.size() == 1 && candidates.size() == 1) {
    choice.hooks = candidates[0];
    choice.selection = selections[0];
    return choice;
  }

  std::vector<SweepEntry> tried;
  const auto attempt = [&](const std::string& selection, const std::vector<std::string>& hooks) {
    ThrowIfInterrupted("nothing was trained yet; run it again");
    const RowSet set = LoadRowSet(reader, transcripts, {hooks, selection, quick_pool}, device);
    tried.push_back({selection, hooks, QuickProbe(set, transcripts, config)});
    Report(tried.back(), log);
    return tried.back();
  };
  {
    Progress bar("sweep", "probes", static_cast<int64_t>(selections.size() * candidates.size()),
                 progress);
    for (const auto& hooks : candidates) {
      for (const std::string& selection : selections) {
        attempt(selection, hooks);
        bar.Add(1);
      }
    }
  }
  const auto better = [](const SweepEntry& a, const SweepEntry& b) {
    return a.dev.cross_entropy < b.dev.cross_entropy;
  };
  SweepEntry best = *std::min_element(tried.begin(), tried.end(), better);
  // Greedily join the hook that helps most, of those that are good alone.
  std::vector<SweepEntry> partners = tried;
  std::erase_if(partners,
                [&](const SweepEntry& entry) { return entry.selection != best.selection; });
  std::sort(partners.begin(), partners.end(), better);
  while (hooks_open && static_cast<int64_t>(best.hooks.size()) < config.Integer("n_hooks")) {
    std::vector<SweepEntry> joined;
    for (const SweepEntry& partner : partners) {
      if (joined.size() >= kPartners) break;
      const int64_t block = ParseHookName(partner.hooks[0]);
      if (std::any_of(best.hooks.begin(), best.hooks.end(), [&](const std::string& hook) {
            return std::abs(ParseHookName(hook) - block) < kMinDistance;
          })) {
        continue;
      }
      std::vector<std::string> hooks = best.hooks;
      hooks.push_back(partner.hooks[0]);
      std::sort(hooks.begin(), hooks.end(), [](const std::string& a, const std::string& b) {
        return ParseHookName(a) < ParseHookName(b);
      });
      joined.push_back(attempt(best.selection, hooks));
    }
    if (joined.empty()) break;
    const SweepEntry next = *std::min_element(joined.begin(), joined.end(), better);
    if (!better(next, best)) break;
    best = next;
  }
  if (progress != nullptr) PrintTable(tried, progress);
  choice.hooks = best.hooks;
  choice.selection = best.selection;
  return choice;
}

}  // namespace extrospect
