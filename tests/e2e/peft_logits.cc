// The logits of a model that carries a PEFT adapter: one side of tests/e2e/peft_python_test.
//
// Usage: peft_logits MODEL PEFT_FOLDER TOKENS.json OUTPUT.safetensors
//
// TOKENS.json holds a list of token ids; OUTPUT gets `logits` [tokens, vocab], float32.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "model/model.h"
#include "model/weights/peft.h"
#include "model/weights/weight_file.h"

namespace extrospect {
namespace {

void Run(const char* model_path, const char* folder, const char* tokens, const char* output) {
  const c10::InferenceMode inference;
  const LanguageModel model = LoadModel(model_path, WeightOptions{.dtype = at::kFloat});
  const Architecture& architecture = model.architecture;
  const Adapter adapter =
      LoadPeft(folder, architecture, PlaceBlocks(architecture.n_layers, {at::kCPU}));
  const AdapterPass pass(adapter, architecture, at::kFloat);
  const std::vector<Sequence> sequences = {
      {nlohmann::json::parse(ReadFile(tokens)).get<std::vector<int32_t>>(), {}, {}}};
  ForwardOptions forward;
  forward.sequences = sequences;
  forward.adapter = &pass;
  for (size_t i = 0; i < sequences[0].tokens.size(); ++i) {
    forward.logit_rows.push_back(static_cast<int64_t>(i));
  }
  SaveTensors(output, {{"logits", model.transformer->Forward(forward).logits}});
}

}  // namespace
}  // namespace extrospect

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: %s MODEL PEFT_FOLDER TOKENS.json OUTPUT.safetensors\n", argv[0]);
    return 2;
  }
  try {
    extrospect::Run(argv[1], argv[2], argv[3], argv[4]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
