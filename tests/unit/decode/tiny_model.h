// A language model with random weights that can be asked, and decoders that ask it: for tests of
// what runs the model, where what it says does not matter.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/random.h"
#include "decode/oracle/oracle.h"
#include "model/hooks.h"
#include "model/model.h"
#include "tests/tokenizer_json.h"

namespace extrospect::tiny {

inline constexpr int64_t kWidth = 32;
inline constexpr int64_t kLayers = 4;

// All 96 tokens of the model: printable characters (but "~" and the backslash), " ?", and the stop
// "</s>".
inline nlohmann::json Tokenizer() {
  using nlohmann::json;
  json vocab = json::object();
  const auto add = [&](const std::string& token) { vocab[token] = static_cast<int>(vocab.size()); };
  for (char letter = '!'; letter < '~'; ++letter) {
    if (letter != '\\') add(std::string(1, letter));
  }
  for (const char* const token : {"\u0120", "\u010A", "\u0120?", "</s>"}) add(token);
  return TokenizerJson(vocab, "</s>", json::array({"\u0120 ?"}));
}

// A model's folder, for LoadModel.
inline std::filesystem::path ModelFolder(const std::string& name) {
  const std::filesystem::path from = "tests/parity/fixtures/families/qwen3";
  const auto folder = std::filesystem::path(testing::TempDir()) / name;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  for (const char* const file : {"config.json", "model.safetensors"}) {
    std::filesystem::copy(from / file, folder);
  }
  std::ofstream(folder / "tokenizer.json") << Tokenizer().dump();
  const std::string chat =
      "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
      "{% if add_generation_prompt %}<assistant>{% endif %}";
  std::ofstream(folder / "tokenizer_config.json")
      << nlohmann::json({{"eos_token", "</s>"}, {"chat_template", chat}}).dump();
  return folder;
}

inline std::shared_ptr<const LanguageModel> Load(const std::filesystem::path& folder) {
  WeightOptions options;
  options.dtype = at::kFloat;
  return std::make_shared<const LanguageModel>(LoadModel(folder, options));
}

// Of a decoder that reads blocks 1 and 2 of the model.
inline DecoderInfo Info(const LanguageModel& model, const std::string& kind,
                        const std::string& pool = "mean") {
  DecoderInfo info;
  info.kind = kind;
  info.name = "tiny";
  info.model_name = model.name;
  info.model_sha256 = model.sha256;
  info.architecture = model.architecture.family;
  info.tokenizer_sha256 = model.tokenizer->Sha256();
  info.chat_template_sha256 = model.chat_template_sha256;
  info.n_layers = kLayers;
  info.d_model = kWidth;
  info.hooks = {HookName(1), HookName(2)};
  info.selection = "content";
  info.pool = pool;
  info.lexicon = Lexicon({{"angry", "anger", -0.6, 0.6, {}},
                          {"annoyed", "anger", -0.4, 0.3, {}},
                          {"calm", "calm", 0.5, -0.6, {}}});
  info.holder_independent = false;
  info.training_config = "{}";
  return info;
}

inline OracleSpec Spec() {
  OracleSpec spec;
  spec.max_answer_tokens = 12;
  return spec;
}

inline OracleWeights Weights() {
  OracleWeights weights;
  weights.input.mean = at::zeros({2, kWidth}, at::TensorOptions(at::kFloat).device(at::kCPU));
  return weights;
}

inline std::unique_ptr<Oracle> MakeOracle(std::shared_ptr<const LanguageModel> model,
                                          const std::string& pool = "mean") {
  DecoderInfo info = Info(*model, "selfie", pool);
  return std::make_unique<Oracle>(std::move(info), Spec(), Weights(), std::move(model));
}

// [n, 2, width], the same for the same seed.
inline at::Tensor Rows(int64_t n, uint64_t seed = 3) {
  RandomStream random(seed, "tiny/rows");
  at::Tensor rows = at::empty({n, 2, kWidth}, at::TensorOptions(at::kFloat).device(at::kCPU));
  for (int64_t i = 0; i < rows.numel(); ++i) {
    rows.data_ptr<float>()[i] = static_cast<float>(random.Normal());
  }
  return rows;
}

}  // namespace extrospect::tiny
