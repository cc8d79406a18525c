// Names of the places in a model where activations are read or changed.
//
// Block K counts from 0. `blocks.K.hook_resid_post` is the residual stream after block K, which is
// Hugging Face's hidden_states[K + 1] before any final norm. `blocks.0.hook_resid_pre` is the
// embedding output; the code calls it "after block −1".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace extrospect {

constexpr int64_t kEmbeddingBlock = -1;

// The hook's name for a block, kEmbeddingBlock included.
std::string HookName(int64_t block);

// The block that a hook name means; `model.layers.K.output` is read as well. Throws UsageError.
int64_t ParseHookName(std::string_view name);

// Block numbers from a list such as "all", "14", "3,7,11", "4-9", "50%", "25%,50%,75%" or hook
// names: sorted, each once. p% means block ceil(p / 100 · n_layers) − 1, at least 0. Throws
// UsageError on anything else and on blocks that the model does not have.
std::vector<int64_t> ParseLayers(std::string_view text, int64_t n_layers);

}  // namespace extrospect
