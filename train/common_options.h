// Options that several kinds of `extrospect train` have in common.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/config.h"

namespace extrospect {

// Greatest value of an option that has no limit of its own.
inline constexpr double kMaxOption = 1e9;

struct LoopDefaults {
  int64_t steps = 0;
  double learning_rate = 0;
  int64_t warmup = 0;
  std::string schedule = "linear";
  double weight_decay = 0;
  int64_t checkpoint_every = 100;
};

// What MakeLoopOptions reads.
std::vector<ConfigOption> LoopConfig(const LoopDefaults& defaults);

// One list after another.
std::vector<ConfigOption> Joined(const std::vector<std::vector<ConfigOption>>& lists);

}  // namespace extrospect
