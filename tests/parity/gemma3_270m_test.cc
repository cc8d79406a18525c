// Gemma 3 270M against `transformers` on the same file (tools/fixtures/make_gemma3_270m.py).
// EXTROSPECT_TEST_GEMMA names the GGUF file; without it these tests are skipped.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "model/forward/generate.h"
#include "model/model.h"
#include "tests/parity/reference.h"

namespace extrospect {
namespace {

using nlohmann::json;

const std::filesystem::path kFixtures = "tests/parity/fixtures/gemma3-270m";
constexpr int64_t kLogitStep = 64;
constexpr int64_t kNewTokens = 16;

class Gemma3Test : public testing::Test {
 protected:
  void SetUp() override {
    if (std::getenv("EXTROSPECT_TEST_GEMMA") == nullptr) GTEST_SKIP() << "no model";
    texts_ = json::parse(ReadFile(kFixtures / "texts.json"));
  }

  static LanguageModel Load() {
    return LoadModel(std::getenv("EXTROSPECT_TEST_GEMMA"), WeightOptions{.dtype = at::kFloat});
  }

  const c10::InferenceMode inference_;
  json texts_;
};

TEST_F(Gemma3Test, ResidualsAndLogitsEqualTheReference) {
  const LanguageModel model = Load();
  const SafetensorsFile fixture(kFixtures / "residuals.safetensors");
  size_t index = 0;
  for (const json& text : texts_["texts"]) {
    const std::string name = std::to_string(index++);
    const at::Tensor expected = ReferenceTensor(fixture, "residual." + name);
    const at::Tensor rows = at::tensor(text["rows"].get<std::vector<int64_t>>());
    const std::vector<Sequence> sequences = {{text["ids"].get<std::vector<int32_t>>(), {}, {}}};
    ForwardOptions options;
    options.sequences = sequences;
    options.observe = [&](int64_t block, const at::Tensor& residual) {
      EXPECT_LE(WorstRowError(residual.index_select(0, rows), expected[block + 1]), 1e-4)
          << "text " << name << ", after block " << block;
    };
    options.logit_rows = {static_cast<int64_t>(sequences[0].tokens.size()) - 1};
    const at::Tensor logits = model.transformer->Forward(options).logits[0];
    const at::Tensor ids = at::arange(0, logits.size(0), kLogitStep);
    EXPECT_LE(
        WorstRowError(logits.index_select(0, ids), ReferenceTensor(fixture, "logits." + name)),
        1e-4)
        << "text " << name;
  }
}

TEST_F(Gemma3Test, GreedyContinuationsEqualTheReference) {
  const LanguageModel model = Load();
  std::vector<Prompt> prompts;
  std::vector<std::vector<int32_t>> expected;
  for (const json& prompt : texts_["prompts"]) {
    prompts.push_back({prompt["ids"].get<std::vector<int32_t>>(), {}});
    expected.push_back(prompt["greedy"].get<std::vector<int32_t>>());
  }
  GenerateOptions options;
  options.max_new_tokens = kNewTokens;
  EXPECT_EQ(Generate(*model.transformer, prompts, options), expected);
}

TEST_F(Gemma3Test, TokenIdsEqualTheReference) {
  const LanguageModel model = LoadModel(std::getenv("EXTROSPECT_TEST_GEMMA"), std::nullopt);
  ASSERT_TRUE(model.tokenizer->add_bos());
  for (const json& text : texts_["texts"]) {
    std::vector<int32_t> ids =
        model.tokenizer->Encode(text["text"].get<std::string>(), /*parse_special=*/false).ids;
    ids.insert(ids.begin(), model.tokenizer->bos_id().value());
    EXPECT_EQ(ids, text["ids"].get<std::vector<int32_t>>());
  }
}

}  // namespace
}  // namespace extrospect
