// Rotary positions as configurations describe them.
#pragma once

#include "model/config/architecture.h"
#include "model/config/hyperparameters.h"

namespace extrospect {

// The main embedding of a model: "rope_theta", and "rope_scaling" of type linear, llama3, yarn, or
// divisors (`divisors`: a list; from GGUF files). "dynamic" scaling acts only beyond the context
// that the model is given, so it is none. Throws Error on other types.
Rope ReadRope(const Hyperparameters& config);

// "max_position_embeddings", or what YaRN stretches it to.
int64_t ReadContextLength(const Hyperparameters& config);

// Configurations of newer versions keep everything about rotary positions in "rope_parameters", one
// object or one for each type of attention. Returns the configuration with the older keys.
nlohmann::json WithOlderRopeKeys(nlohmann::json config);

}  // namespace extrospect
