// Tiny random models of every family against `transformers` (tools/fixtures/make_families.py): the
// residual stream at every site, logits, and greedy continuations over a cache.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "model/files/gguf.h"
#include "model/files/safetensors.h"
#include "model/forward/generate.h"
#include "model/forward/transformer.h"
#include "tests/parity/reference.h"

namespace extrospect {
namespace {

using nlohmann::json;

const std::filesystem::path kFixtures = "tests/parity/fixtures/families";
constexpr int64_t kNewTokens = 10;

Transformer LoadDirectory(const std::filesystem::path& directory, const WeightOptions& options) {
  const Architecture architecture = ArchitectureFromDirectory(directory);
  const SafetensorsModel tensors(directory);
  return Transformer(
      architecture,
      LoadWeights(architecture, *OpenSafetensorsTensors(tensors, architecture), options));
}

Transformer LoadGguf(const std::filesystem::path& path, const WeightOptions& options) {
  const GgufFile file(path);
  const Architecture architecture = ArchitectureFromGguf(file);
  return Transformer(architecture,
                     LoadWeights(architecture, *OpenGgufTensors(file, architecture), options));
}

struct Case {
  std::vector<std::vector<int32_t>> texts, greedy;
  at::Tensor residual, logits;

  explicit Case(const std::filesystem::path& directory) {
    const json reference = json::parse(ReadFile(directory / "reference.json"));
    texts = reference["sequences"].get<decltype(texts)>();
    greedy = reference["greedy"].get<decltype(greedy)>();
    const SafetensorsFile file(directory / "reference.safetensors");
    residual = ReferenceTensor(file, "residual");
    logits = ReferenceTensor(file, "logits");
  }

  std::vector<Sequence> Sequences() const {
    std::vector<Sequence> sequences;
    for (const auto& text : texts) sequences.push_back({text, {}, {}});
    return sequences;
  }
};

// All sites, stacked [sites, rows, d_model], and the logits of all rows.
std::pair<at::Tensor, at::Tensor> RunModel(const Transformer& model,
                                           const std::vector<Sequence>& sequences) {
  std::vector<at::Tensor> sites;
  ForwardOptions options;
  options.sequences = sequences;
  options.observe = [&](int64_t, const at::Tensor& residual) { sites.push_back(residual.clone()); };
  for (const Sequence& sequence : sequences) {
    for (size_t i = 0; i < sequence.tokens.size(); ++i) {
      options.logit_rows.push_back(static_cast<int64_t>(options.logit_rows.size()));
    }
  }
  const at::Tensor logits = model.Forward(options).logits;
  return {at::stack(sites), logits};
}

void ExpectEqual(const Transformer& model, const Case& reference, double tolerance) {
  const auto [residual, logits] = RunModel(model, reference.Sequences());
  ASSERT_EQ(residual.sizes(), reference.residual.sizes());
  for (int64_t site = 0; site < residual.size(0); ++site) {
    EXPECT_LE(WorstRowError(residual[site], reference.residual[site]), tolerance)
        << "after block " << site - 1;
  }
  EXPECT_LE(WorstRowError(logits, reference.logits), tolerance) << "logits";
}

// One pass over all but the last `n_new` tokens of each text, then one token at a time.
void ExpectCachedLogitsEqual(const Transformer& model, const Case& reference, double tolerance) {
  constexpr int64_t kStepped = 6;
  int64_t first_row = 0;
  for (const auto& text : reference.texts) {
    const auto n = static_cast<int64_t>(text.size());
    const auto past = model.MakeSegment(n);
    for (int64_t begin = 0, end = n - kStepped; begin < n; begin = end, end = begin + 1) {
      const std::vector<Sequence> sequences = {
          {std::vector<int32_t>(text.begin() + begin, text.begin() + end), {}, past}};
      const at::Tensor logits = RunModel(model, sequences).second;
      EXPECT_LE(WorstRowError(logits, reference.logits.narrow(0, first_row + begin, end - begin)),
                tolerance)
          << "tokens " << begin << " to " << end;
    }
    first_row += n;
  }
}

void ExpectGreedyEqual(const Transformer& model, const Case& reference) {
  std::vector<Prompt> prompts;
  for (const auto& text : reference.texts) prompts.push_back({text, {}});
  GenerateOptions options;
  options.max_new_tokens = kNewTokens;
  EXPECT_EQ(Generate(model, prompts, options), reference.greedy);
}

class FamilyTest : public testing::TestWithParam<const char*> {
 protected:
  std::filesystem::path directory() const { return kFixtures / GetParam(); }

  const c10::InferenceMode inference_;
};

TEST_P(FamilyTest, Float32EqualsTheReference) {
  const Case reference(directory());
  const Transformer model = LoadDirectory(directory(), {.dtype = at::kFloat});
  ExpectEqual(model, reference, 1e-4);
  ExpectCachedLogitsEqual(model, reference, 1e-4);
  ExpectGreedyEqual(model, reference);
}

TEST_P(FamilyTest, Float64EqualsTheReference) {
  const Case reference(directory());
  const Transformer model = LoadDirectory(directory(), {.dtype = at::kDouble});
  ExpectEqual(model, reference, 1e-8);
  ExpectCachedLogitsEqual(model, reference, 1e-8);
  ExpectGreedyEqual(model, reference);
}

// What training and other devices run.
TEST_P(FamilyTest, ComposedOperationsEqualTheReference) {
  const Case reference(directory());
  const c10::InferenceMode recording_is_possible(false);
  const c10::AutoGradMode recording(true);
  const Transformer model = LoadDirectory(directory(), {.dtype = at::kFloat, .trainable = true});
  ExpectEqual(model, reference, 1e-4);
}

TEST_P(FamilyTest, BFloat16IsClose) {
  const Case reference(directory());
  const Transformer model = LoadDirectory(directory(), {.dtype = at::kBFloat16});
  const auto [residual, logits] = RunModel(model, reference.Sequences());
  EXPECT_GE(at::cosine_similarity(residual.to(at::kDouble), reference.residual, -1)
                .median()
                .item<double>(),
            0.999);
}

INSTANTIATE_TEST_SUITE_P(Models, FamilyTest,
                         testing::Values("llama-2", "llama-3", "mistral", "qwen2", "qwen2.5",
                                         "qwen3", "qwen3-moe", "qwen3-moe-mixed", "gemma2",
                                         "gemma3", "gemma3-multimodal", "olmo2", "olmo3"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

class GgufFamilyTest : public FamilyTest {};

TEST_P(GgufFamilyTest, EqualsTheReference) {
  const Case reference(directory());
  const Transformer model = LoadGguf(directory() / "model.gguf", {.dtype = at::kFloat});
  ExpectEqual(model, reference, 1e-4);
  ExpectGreedyEqual(model, reference);
}

TEST_P(GgufFamilyTest, DescribesTheSameArchitecture) {
  const Architecture a = ArchitectureFromGguf(GgufFile(directory() / "model.gguf"));
  const Architecture b = ArchitectureFromDirectory(directory());
  EXPECT_EQ(CountParameters(a), CountParameters(b));
  EXPECT_EQ(a.family, b.family);
  EXPECT_EQ(a.context_length, b.context_length);
  ASSERT_EQ(a.blocks.size(), b.blocks.size());
  for (size_t block = 0; block < a.blocks.size(); ++block) {
    EXPECT_EQ(a.blocks[block].window, b.blocks[block].window) << "block " << block;
    EXPECT_EQ(a.blocks[block].rope, b.blocks[block].rope) << "block " << block;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GgufFamilyTest,
                         testing::Values("llama-2", "llama-3", "mistral", "qwen2.5", "qwen3",
                                         "qwen3-moe", "gemma2", "gemma3", "olmo2", "olmo3"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

}  // namespace
}  // namespace extrospect
