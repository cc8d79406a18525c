#include "train/options.h"

#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "decode/oracle/logit_lens.h"
#include "decode/oracle/oracle.h"
#include "train/common_options.h"
#include "train/linear/token_attention.h"
#include "train/oracle/model_options.h"

namespace extrospect {
namespace {

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
       .help = "how a transcript's selected tokens become one row. mean: their mean; attention: a "
               "weighted one, with weights that are learned; none: every token is a row; auto: "
               "attention, where the activation file holds single tokens",
       .choices = {"auto", "mean", "attention", "none"}},
      {.name = "lexicon",
       .value = "builtin",
       .help = "the classes: builtin, labels (those that occur), or the path of a lexicon.jsonl"},
      {.name = "limit",
       .value = -1,
       .help = "only the first N transcripts; -1: all",
       .min = -1,
       .max = kMaxOption},
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
       .max = kMaxOption},
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
       .max = kMaxOption},
      {.name = "softmax.steps",
       .value = 80,
       .help = "AdamW steps, over all rows unless softmax.batch says otherwise",
       .min = 0,
       .max = kMaxOption},
      {.name = "softmax.learning_rate",
       .value = 0.001,
       .help = "peak learning rate",
       .min = 0,
       .max = 10},
      {.name = "softmax.anchor",
       .value = 0.05,
       .help = "penalty on the squared distance from where the gradient solver starts",
       .min = 0,
       .max = kMaxOption},
      {.name = "softmax.near_share",
       .value = 0.0,
       .help = "share of each target that is spread over the near-miss words",
       .min = 0,
       .max = 0.9},
      {.name = "softmax.eval_every",
       .value = 5,
       .help = "steps between evaluations on dev",
       .min = 1,
       .max = kMaxOption},
      {.name = "softmax.patience",
       .value = 6,
       .help = "evaluations without improvement before it stops; 0: never",
       .min = 0,
       .max = kMaxOption},
      {.name = "softmax.batch",
       .value = 0,
       .help = "rows in a step; 0: all of them",
       .min = 0,
       .max = kMaxOption},
      {.name = "softmax.warmup",
       .value = 0,
       .help = "steps of rising learning rate",
       .min = 0,
       .max = kMaxOption},
      {.name = "softmax.weight_decay",
       .value = 0.0,
       .help = "AdamW's decay of the weights",
       .min = 0,
       .max = 10},
      {.name = "softmax.dropout",
       .value = 0.0,
       .help = "share of the features left out at random in training",
       .min = 0,
       .max = 0.9},
      {.name = "hidden.units",
       .value = 0,
       .help = "hidden layer beside the linear map, for the gradient solvers; 0: none",
       .min = 0,
       .max = 65536},
      {.name = "hidden.dropout",
       .value = 0.3,
       .help = "share of its units left out at random in training",
       .min = 0,
       .max = 0.9},
      {.name = "prior_adjustments",
       .value = {0.0},
       .help = "how far scores may lean towards rare classes (0: not, 1: as if all were equally "
               "common); the best macro-F1 on dev wins",
       .min = 0,
       .max = 2},
      {.name = "affect.ridges",
       .value = {0.03, 0.1, 0.3, 1.0, 3.0},
       .help = "ridge penalties of the valence and arousal regression to try on dev",
       .min = 1e-9,
       .max = kMaxOption},
      {.name = "checkpoint_every",
       .value = 0,
       .help = "steps between checkpoints; 0: only when interrupted",
       .min = 0,
       .max = kMaxOption},
  };
}

std::vector<ConfigOption> SmallOptions() {
  std::vector<ConfigOption> options = {
      {.name = "network.rank",
       .value = 128,
       .help = "coordinates that rows are projected to before the soft prefix",
       .min = 1,
       .max = 8192},
      {.name = "network.prefix", .value = 4, .help = "soft-prefix vectors", .min = 1, .max = 256},
      {.name = "network.width",
       .value = 128,
       .help = "width of the transformer",
       .min = 8,
       .max = 4096},
      {.name = "network.layers", .value = 2, .help = "blocks", .min = 1, .max = 64},
      {.name = "network.heads",
       .value = 4,
       .help = "attention heads; a divisor of the width",
       .min = 1,
       .max = 256},
      {.name = "network.max_tokens",
       .value = 48,
       .help = "longest sentence, in pieces",
       .min = 8,
       .max = 1024},
      {.name = "vocabulary",
       .value = 1000,
       .help = "SentencePiece pieces beside the symbols of the lexicon's words",
       .min = 100,
       .max = 32000},
      {.name = "shrinkage",
       .value = 0.7,
       .help = "covariance shrinkage of the fixed projection",
       .min = 1e-6,
       .max = 1},
      {.name = "pull",
       .value = 20.0,
       .help = "pull of class means to their neighbours in the fixed projection, in examples",
       .min = 0,
       .max = kMaxOption},
      {.name = "batch",
       .value = 48,
       .help = "rows in a step, with their descriptions",
       .min = 1,
       .max = 65536},
      {.name = "word_batch",
       .value = 96,
       .help = "more rows in a step, with \"The {holder} feels {word}\" alone",
       .min = 0,
       .max = 65536},
      {.name = "dropout", .value = 0.1, .help = "dropout in the network", .min = 0, .max = 0.9},
      {.name = "noise",
       .value = 1.0,
       .help = "Gaussian noise on the coordinates, in standard deviations within a class",
       .min = 0,
       .max = 10},
      {.name = "mixup",
       .value = 0.0,
       .help = "share of the word rows that are a mean of two rows of one class",
       .min = 0,
       .max = 1},
      {.name = "description_weight",
       .value = 0.5,
       .help = "weight of the descriptions' loss beside the words'",
       .min = 0,
       .max = 100},
  };
  return Joined({std::move(options), LoopConfig({.steps = 250,
                                                 .learning_rate = 0.002,
                                                 .warmup = 30,
                                                 .schedule = "cosine",
                                                 .weight_decay = 0.05,
                                                 .checkpoint_every = 200})});
}

}  // namespace

std::vector<std::string> TrainableKinds() {
  return {"probe", "small", "oracle", "vector", "affine", "selfie", kLogitLensKind};
}

Config TrainingConfig(const std::string& kind) {
  std::vector<ConfigOption> options = SharedOptions();
  const std::vector<ConfigOption> attention = TokenAttentionOptions();
  options.insert(options.end(), attention.begin(), attention.end());
  std::vector<ConfigOption> own;
  if (kind == "probe") own = ProbeOptions();
  if (kind == "small") own = SmallOptions();
  if (kind == "selfie") own = SelfieOptions();
  if (kind == kLogitLensKind) own = LogitLensOptions();
  if (own.empty() && IsOracleKind(kind)) own = OracleOptions(kind);
  if (own.empty()) {
    throw UsageError("unknown kind of decoder").Expected(Join(TrainableKinds())).Found(kind);
  }
  for (ConfigOption& option : own) options.push_back(std::move(option));
  return Config("train --kind " + kind, std::move(options));
}

}  // namespace extrospect
