// The supported model families: what their configurations mean in terms of Architecture.
// docs/adding-a-model-family.md says how to add one.
#pragma once

#include "model/config/architecture.h"
#include "model/config/hyperparameters.h"

namespace extrospect {

// The architecture of a config.json, or of GGUF metadata in that form (gguf_config.h). Throws
// Error, naming the key, on families and settings that are not supported, missing or absurd.
Architecture ArchitectureFromConfig(Hyperparameters config);

}  // namespace extrospect
