#include "train/options.h"

#include <utility>

#include "base/error.h"

namespace extrospect {
namespace {

constexpr double kMax = 1e9;

std::vector<ConfigOption> SharedOptions() {
  return {
      {.name = "hooks",
       .value = "auto",
       .help = "hooks to read, e.g. [\"blocks.14.hook_resid_post\"]; auto: the best of the sweep",
       .or_list = true},
      {.name = "n_hooks",
       .value = 2,
       .help = "how many hooks \"auto\" may join, as long as dev cross-entropy falls",
       .min = 1,
       .max = 8},
      {.name = "selection",
       .value = "auto",
       .help = "token selection of the activation file to read; auto: the best of the sweep"},
      {.name = "pool",
       .value = "auto",
       .help = "mean: over a transcript's selected tokens; none: every token is a row; auto: mean",
       .choices = {"auto", "mean", "none"}},
      {.name = "lexicon",
       .value = "builtin",
       .help = "the classes: builtin, labels (those that occur), or the path of a lexicon.jsonl"},
      {.name = "limit",
       .value = -1,
       .help = "only the first N transcripts; -1: all",
       .min = -1,
       .max = kMax},
      {.name = "seed", .value = 0, .help = "seed of every random choice", .min = 0, .max = 1e15},
      {.name = "sweep.hooks",
       .value = "all",
       .help = "hooks that the sweep tries: all, or a list",
       .or_list = true},
      {.name = "sweep.selections",
       .value = "all",
       .help = "token selections that the sweep tries: all, or a list",
       .or_list = true},
      {.name = "sweep.shrinkage",
       .value = 0.4,
       .help = "covariance shrinkage of the sweep's quick probes",
       .min = 1e-6,
       .max = 1},
      {.name = "sweep.pull",
       .value = 20.0,
       .help = "pull of class means to their neighbours in the sweep, in examples",
       .min = 0,
       .max = kMax},
      {.name = "max_false_alarms",
       .value = 0.05,
       .help = "share of dev's neutral rows that may be read as a feeling; sets when to abstain",
       .min = 0,
       .max = 1},
  };
}

std::vector<ConfigOption> ProbeOptions() {
  return {
      {.name = "solver",
       .value = "auto",
       .help = "lda: closed form; softmax: by gradient from zero; auto: by gradient from lda",
       .choices = {"auto", "lda", "softmax"}},
      {.name = "lda.shrinkages",
       .value = {0.1, 0.2, 0.4, 0.6, 0.8},
       .help = "covariance shrinkages to try on dev",
       .min = 1e-6,
       .max = 1},
      {.name = "lda.pulls",
       .value = {5.0, 10.0, 20.0, 30.0},
       .help = "pulls of class means to their neighbours to try on dev, in examples",
       .min = 0,
       .max = kMax},
      {.name = "softmax.steps",
       .value = 80,
       .help = "full-batch AdamW steps",
       .min = 0,
       .max = kMax},
      {.name = "softmax.learning_rate",
       .value = 0.002,
       .help = "peak learning rate",
       .min = 0,
       .max = 10},
      {.name = "softmax.anchor",
       .value = 0.05,
       .help = "penalty on the squared distance from where the gradient solver starts",
       .min = 0,
       .max = kMax},
      {.name = "softmax.near_share",
       .value = 0.0,
       .help = "share of each target that is spread over the near-miss words",
       .min = 0,
       .max = 0.9},
      {.name = "softmax.eval_every",
       .value = 5,
       .help = "steps between evaluations on dev",
       .min = 1,
       .max = kMax},
      {.name = "softmax.patience",
       .value = 6,
       .help = "evaluations without improvement before it stops; 0: never",
       .min = 0,
       .max = kMax},
      {.name = "affect.ridges",
       .value = {0.03, 0.1, 0.3, 1.0, 3.0},
       .help = "ridge penalties of the valence and arousal regression to try on dev",
       .min = 1e-9,
       .max = kMax},
      {.name = "checkpoint_every",
       .value = 0,
       .help = "steps between checkpoints; 0: only when interrupted",
       .min = 0,
       .max = kMax},
  };
}

}  // namespace

std::vector<std::string> TrainableKinds() { return {"probe"}; }

Config TrainingConfig(const std::string& kind) {
  std::vector<ConfigOption> options = SharedOptions();
  std::vector<ConfigOption> own;
  if (kind == "probe") own = ProbeOptions();
  if (own.empty()) {
    std::string kinds;
    for (const std::string& known : TrainableKinds()) kinds += (kinds.empty() ? "" : ", ") + known;
    throw UsageError("unknown kind of decoder").Expected(kinds).Found(kind);
  }
  for (ConfigOption& option : own) options.push_back(std::move(option));
  return Config("train --kind " + kind, std::move(options));
}

}  // namespace extrospect
