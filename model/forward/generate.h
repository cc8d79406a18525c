// Text generation: batched, with a key/value cache, greedy or sampled.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/forward/transformer.h"

namespace extrospect {

struct GenerateOptions {
  int64_t max_new_tokens = 64;
  double temperature = 0.0;          // 0: greedy
  std::vector<int32_t> stop_tokens;  // generation ends before these; they are not returned
  // Only tokens below this are drawn; 0: all. Output matrices are often padded beyond what the
  // tokenizer has a text for.
  int64_t vocabulary = 0;
  // Seeds one stream per prompt, so that neither the batch's composition nor another prompt's
  // length changes what is drawn. Streams go by the prompts' names, or by their indices where
  // `streams` is empty.
  uint64_t seed = 0;
  std::vector<std::string> streams;
  const AdapterPass* adapter = nullptr;  // null: the model as it is
  std::vector<Injection> injections;     // of the first pass, over the prompts' packed rows
};

// A prompt: new tokens after an optional shared past.
struct Prompt {
  std::vector<int32_t> tokens;  // at least one
  std::vector<std::shared_ptr<const KvSegment>> past;
};

// The new tokens of every prompt, in order. Prompts that have ended leave the batch.
std::vector<std::vector<int32_t>> Generate(const Transformer& model,
                                           std::span<const Prompt> prompts,
                                           const GenerateOptions& options);

}  // namespace extrospect
