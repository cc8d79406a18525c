// The pre-tokenizers that GGUF files name instead of spelling out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/tokenizer/normalizer.h"
#include "model/tokenizer/pretokenizer.h"

namespace extrospect {

struct NamedPretokenizer {
  Normalizer normalizer;
  Pretokenizer pretokenizer;
  bool ignore_merges = false;
  bool add_bos = false;  // what is usual, should the file not say
};

// The settings that models of this name have in their own tokenizer.json, normalisation included.
// `name` is a GGUF file's `tokenizer.ggml.pre`. Throws Error for a name that is not known; it lists
// those that are.
NamedPretokenizer MakeNamedPretokenizer(std::string_view name);

std::vector<std::string> KnownPretokenizers();

}  // namespace extrospect
