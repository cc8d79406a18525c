// LoRA adapters of the Python library `peft` (tools/fixtures/make_peft.py): loaded as they are,
// they give its logits, and a training step its loss and gradients.
#include "model/weights/peft.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/file.h"
#include "tests/parity/reference.h"
#include "tests/unit/model/tiny_models.h"
#include "train/oracle/oracle_loss.h"

namespace extrospect {
namespace {

using nlohmann::json;

const std::filesystem::path kFixtures = "tests/parity/fixtures/peft";

class PeftParityTest : public testing::TestWithParam<const char*> {
 protected:
  PeftParityTest()
      : folder_(kFixtures / GetParam()),
        reference_(json::parse(ReadFile(folder_ / "reference.json"))),
        tensors_(folder_ / "reference.safetensors"),
        sequences_(reference_["sequences"].get<std::vector<std::vector<int32_t>>>()) {}

  Transformer LoadBase(const WeightOptions& options) const {
    return tiny::Load(reference_["model"].get<std::string>(), options);
  }
  Adapter LoadAdapter(const Transformer& model) const {
    const Architecture& architecture = model.architecture();
    return LoadPeft(folder_, architecture, PlaceBlocks(architecture.n_layers, {at::kCPU}));
  }
  at::Tensor Logits(const Transformer& model) const {
    const Adapter adapter = LoadAdapter(model);
    const AdapterPass pass(adapter, model.architecture(), model.dtype());
    std::vector<Sequence> sequences;
    ForwardOptions forward;
    for (const auto& tokens : sequences_) {
      sequences.push_back({tokens, {}, {}});
      for (size_t i = 0; i < tokens.size(); ++i) {
        forward.logit_rows.push_back(static_cast<int64_t>(forward.logit_rows.size()));
      }
    }
    forward.sequences = sequences;
    forward.adapter = &pass;
    return model.Forward(forward).logits;
  }

  std::filesystem::path folder_;
  json reference_;
  SafetensorsFile tensors_;
  std::vector<std::vector<int32_t>> sequences_;
};

TEST_P(PeftParityTest, LogitsEqual) {
  const at::Tensor expected = ReferenceTensor(tensors_, "logits");
  {
    const c10::InferenceMode inference;
    const Transformer model = LoadBase({.dtype = at::kFloat});
    EXPECT_LE(WorstRowError(Logits(model), expected), 1e-4) << "kernels";
  }
  const Transformer model = LoadBase({.dtype = at::kFloat, .trainable = true});
  EXPECT_LE(WorstRowError(Logits(model), expected), 1e-4) << "as in training";
}

TEST_P(PeftParityTest, ATrainingStepEquals) {
  const Transformer model = LoadBase({.dtype = at::kFloat, .trainable = true});
  Adapter adapter = LoadAdapter(model);
  for (const tiny::NamedTensor& parameter : tiny::TensorsOf(adapter)) {
    *parameter.tensor = parameter.tensor->detach().clone().requires_grad_(true);
  }
  const at::Tensor vectors = ReferenceTensor(tensors_, "vectors").requires_grad_(true);
  const InjectionSite site = {reference_["block"].get<int64_t>(), InjectionRule::kAdd,
                              reference_["coefficient"].get<double>()};
  const auto n_prefix = reference_["prefix"].get<ptrdiff_t>();
  const std::vector<int32_t> prefix(sequences_[0].begin(), sequences_[0].begin() + n_prefix);
  std::vector<Exchange> exchanges;
  int64_t n_answer = 0;
  for (size_t i = 0; i < sequences_.size(); ++i) {
    exchanges.push_back({{sequences_[i].begin() + n_prefix, sequences_[i].end()},
                         reference_["answers"][i].get<int64_t>() - n_prefix});
    n_answer += exchanges.back().n_answer();
  }
  const AdapterPass pass(adapter, model.architecture(), at::kFloat);
  const at::Tensor loss = SumOfAnswerLosses(model, &pass, site, prefix, exchanges, vectors) /
                          static_cast<double>(n_answer);
  loss.backward();
  EXPECT_NEAR(loss.item<double>(), reference_["loss"].get<double>(), 1e-5);
  size_t compared = 0;
  const auto expect_gradient = [&](const std::string& name, const at::Tensor& gradient) {
    const at::Tensor expected = ReferenceTensor(tensors_, "gradient." + name);
    ASSERT_TRUE(gradient.defined()) << name;
    EXPECT_LE(((gradient - expected).norm() / expected.norm()).item<double>(), 1e-4) << name;
    ++compared;
  };
  for (size_t block = 0; block < adapter.blocks.size(); ++block) {
    for (size_t i = 0; i < kTargets; ++i) {
      const auto target = static_cast<Target>(i);
      const LowRank& low_rank = adapter.blocks[block].of(target);
      if (!low_rank.a.defined()) continue;
      const auto index = static_cast<int64_t>(block);
      expect_gradient(PeftTensorName(index, target, 'A'), low_rank.a.grad());
      expect_gradient(PeftTensorName(index, target, 'B'), low_rank.b.grad());
    }
  }
  expect_gradient("vectors", vectors.grad());
  EXPECT_EQ(compared + 2, tensors_.entries().size());  // beside the logits and the vectors
}

// What SavePeft writes of it is the same adapter, and the tensors' bytes are those of peft.
TEST_P(PeftParityTest, SavedAgainItIsTheSame) {
  const Transformer model = LoadBase({.dtype = at::kFloat});
  const Adapter adapter = LoadAdapter(model);
  const auto folder = std::filesystem::path(testing::TempDir()) / "peft_again";
  std::filesystem::remove_all(folder);
  SavePeft(folder, adapter, "base", 0.05);
  EXPECT_EQ(ReadFile(folder / "adapter_model.safetensors"),
            ReadFile(folder_ / "adapter_model.safetensors"));
  const json config = json::parse(ReadFile(folder / "adapter_config.json"));
  const json theirs = json::parse(ReadFile(folder_ / "adapter_config.json"));
  EXPECT_EQ(config["layers_to_transform"], theirs["layers_to_transform"]);
  EXPECT_EQ(config["r"], theirs["r"]);
  json targets = config["target_modules"];
  std::sort(targets.begin(), targets.end());
  EXPECT_EQ(targets, theirs["target_modules"]);
  const Adapter again = LoadPeft(folder, model.architecture(),
                                 PlaceBlocks(model.architecture().n_layers, {at::kCPU}));
  EXPECT_NEAR(again.scale(), adapter.scale(), 1e-12);
}

INSTANTIATE_TEST_SUITE_P(Adapters, PeftParityTest,
                         testing::Values("llama-3", "gemma2", "olmo2", "qwen3-part"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace extrospect
