// The configurations of `extrospect train`: every option of every kind, with default and help.
#pragma once

#include <string>
#include <vector>

#include "base/config.h"

namespace extrospect {

// The kinds that can be trained.
std::vector<std::string> TrainableKinds();

// Throws UsageError for a kind that there is not.
Config TrainingConfig(const std::string& kind);

}  // namespace extrospect
