#include "train/common_options.h"

namespace extrospect {

std::vector<ConfigOption> LoopConfig(const LoopDefaults& defaults) {
  return {
      {.name = "steps", .value = defaults.steps, .help = "steps", .min = 0, .max = kMaxOption},
      {.name = "learning_rate",
       .value = defaults.learning_rate,
       .help = "peak learning rate",
       .min = 0,
       .max = 10},
      {.name = "warmup",
       .value = defaults.warmup,
       .help = "steps of rising learning rate",
       .min = 0,
       .max = kMaxOption},
      {.name = "schedule",
       .value = defaults.schedule,
       .help = "how the learning rate falls",
       .choices = {"cosine", "linear", "constant"}},
      {.name = "weight_decay",
       .value = defaults.weight_decay,
       .help = "AdamW's decay",
       .min = 0,
       .max = 10},
      {.name = "clip_norm",
       .value = 1.0,
       .help = "greatest gradient norm; 0: no clipping",
       .min = 0,
       .max = kMaxOption},
      {.name = "eval_every",
       .value = 50,
       .help = "steps between evaluations",
       .min = 1,
       .max = kMaxOption},
      {.name = "patience",
       .value = 0,
       .help = "evaluations without improvement before it stops; 0: never",
       .min = 0,
       .max = kMaxOption},
      {.name = "checkpoint_every",
       .value = defaults.checkpoint_every,
       .help = "steps between checkpoints; 0: only when interrupted",
       .min = 0,
       .max = kMaxOption},
  };
}

std::vector<ConfigOption> Joined(const std::vector<std::vector<ConfigOption>>& lists) {
  std::vector<ConfigOption> all;
  for (const std::vector<ConfigOption>& list : lists) {
    all.insert(all.end(), list.begin(), list.end());
  }
  return all;
}

}  // namespace extrospect
