// A GGUF file's metadata in the form of a Hugging Face config.json, so that one reader serves both.
#pragma once

#include "model/config/hyperparameters.h"
#include "model/files/gguf.h"

namespace extrospect {

// Throws Error, naming the key, where metadata is missing or of another kind.
Hyperparameters ConfigFromGguf(const GgufFile& file);

}  // namespace extrospect
