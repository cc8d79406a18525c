// Adapters: their gradients against finite differences in float64, and sequences that continue
// others against the same tokens in one piece.
#include "model/weights/adapter.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/forward/transformer.h"
#include "tests/unit/model/error_message.h"
#include "tests/unit/model/tiny_models.h"

namespace extrospect {
namespace {

using tiny::NamedTensor;

// A beginning, two texts that go on from it, and one that goes on from the first of them.
struct Tree {
  std::vector<int32_t> root, left, right, leaf;

  static Tree Make() {
    std::vector<std::vector<int32_t>> parts;
    int32_t token = 7;
    for (const int32_t length : {9, 6, 3, 5}) {
      std::vector<int32_t>& part = parts.emplace_back();
      for (int32_t i = 0; i < length; ++i) part.push_back(token = (token * 31 + 17) % 90);
    }
    return {parts[0], parts[1], parts[2], parts[3]};
  }

  std::vector<Sequence> Shared() const {
    return {{root, {}, {}, -1}, {left, {}, {}, 0}, {right, {}, {}, 0}, {leaf, {}, {}, 1}};
  }
  // The same without sharing, and for every row above its row here.
  std::vector<Sequence> Apart(std::vector<int64_t>& rows) const {
    const auto join = [](std::vector<std::vector<int32_t>> parts) {
      Sequence whole;
      for (const auto& part : parts) {
        whole.tokens.insert(whole.tokens.end(), part.begin(), part.end());
      }
      return whole;
    };
    const std::vector<Sequence> apart = {join({root, left, leaf}), join({root, right})};
    const auto n_root = static_cast<int64_t>(root.size());
    const auto n_left = static_cast<int64_t>(left.size());
    const auto n_first = static_cast<int64_t>(apart[0].tokens.size());
    const auto add = [&](int64_t first, size_t count) {
      for (size_t i = 0; i < count; ++i) rows.push_back(first + static_cast<int64_t>(i));
    };
    add(0, root.size());
    add(n_root, left.size());
    add(n_first + n_root, right.size());
    add(n_root + n_left, leaf.size());
    return apart;
  }
};

at::Tensor LogitsOf(const Transformer& model, const std::vector<Sequence>& sequences,
                    std::vector<int64_t> rows, const AdapterPass* adapter) {
  ForwardOptions forward;
  forward.sequences = sequences;
  forward.logit_rows = std::move(rows);
  forward.adapter = adapter;
  return model.Forward(forward).logits;
}

std::vector<int64_t> AllRows(const std::vector<Sequence>& sequences) {
  std::vector<int64_t> rows;
  for (const Sequence& sequence : sequences) {
    for (size_t i = 0; i < sequence.tokens.size(); ++i) {
      rows.push_back(static_cast<int64_t>(rows.size()));
    }
  }
  return rows;
}

// Of some token or other after every row.
at::Tensor LossOf(const at::Tensor& logits) {
  const at::Tensor targets = (at::arange(logits.size(0), at::kLong) * 13 + 5) % logits.size(1);
  return at::cross_entropy_loss(logits, targets);
}

double RelativeError(const at::Tensor& found, const at::Tensor& expected) {
  const at::Tensor a = found.to(at::kDouble), b = expected.to(at::kDouble);
  return ((a - b).norm() / b.norm()).item<double>();
}

class AdapterTest : public testing::TestWithParam<const char*> {};

TEST_P(AdapterTest, GradientsEqualFiniteDifferences) {
  const Transformer model = tiny::Load(GetParam(), {.dtype = at::kDouble, .trainable = true});
  Adapter adapter = tiny::RandomAdapter(model.architecture(), at::kDouble, /*vectors=*/true);
  const std::vector<Sequence> sequences = Tree::Make().Shared();
  const auto loss = [&] {
    const AdapterPass pass(adapter, model.architecture(), at::kDouble);
    return LossOf(LogitsOf(model, sequences, AllRows(sequences), &pass));
  };
  const std::vector<NamedTensor> parameters = tiny::TensorsOf(adapter);
  for (const NamedTensor& parameter : parameters) parameter.tensor->requires_grad_(true);
  loss().backward();
  std::vector<at::Tensor> gradients;
  for (const NamedTensor& parameter : parameters) {
    gradients.push_back(parameter.tensor->grad());
    *parameter.tensor = parameter.tensor->detach();
  }
  uint64_t seed = 1000;
  for (size_t i = 0; i < parameters.size(); ++i) {
    SCOPED_TRACE(parameters[i].name);
    at::Tensor& tensor = *parameters[i].tensor;
    ASSERT_TRUE(gradients[i].defined());
    // Along the gradient itself every part of it counts; along a random direction, what it lacks.
    for (const at::Tensor& towards :
         {gradients[i].clone(), tiny::Normal(tensor.sizes().vec(), at::kDouble, ++seed)}) {
      const at::Tensor direction = towards / towards.norm();
      const double expected =
          tiny::DerivativeAlong(tensor, direction, [&] { return loss().item<double>(); });
      EXPECT_NEAR((gradients[i] * direction).sum().item<double>(), expected,
                  1e-6 * gradients[i].norm().item<double>() + 1e-10);
    }
  }
}

TEST_P(AdapterTest, SharedBeginningsChangeNeitherLossNorGradients) {
  const Transformer model = tiny::Load(GetParam(), {.dtype = at::kDouble, .trainable = true});
  Adapter adapter = tiny::RandomAdapter(model.architecture(), at::kDouble, /*vectors=*/true);
  const std::vector<NamedTensor> parameters = tiny::TensorsOf(adapter);
  for (const NamedTensor& parameter : parameters) parameter.tensor->requires_grad_(true);
  const auto run = [&](const std::vector<Sequence>& sequences, const std::vector<int64_t>& rows) {
    for (const NamedTensor& parameter : parameters) parameter.tensor->mutable_grad().reset();
    const AdapterPass pass(adapter, model.architecture(), at::kDouble);
    const at::Tensor loss = LossOf(LogitsOf(model, sequences, rows, &pass));
    loss.backward();
    std::vector<at::Tensor> gradients;
    for (const NamedTensor& parameter : parameters) gradients.push_back(parameter.tensor->grad());
    return std::pair(loss.item<double>(), gradients);
  };
  const Tree tree = Tree::Make();
  std::vector<int64_t> rows;
  const std::vector<Sequence> apart = tree.Apart(rows), shared = tree.Shared();
  const auto expected = run(apart, rows);
  const auto found = run(shared, AllRows(shared));
  EXPECT_NEAR(found.first, expected.first, 1e-10);
  for (size_t i = 0; i < parameters.size(); ++i) {
    EXPECT_LE(RelativeError(found.second[i], expected.second[i]), 1e-8) << parameters[i].name;
  }
}

// What training runs, against float64.
TEST_P(AdapterTest, Float32GradientsEqualThoseOfFloat64) {
  const std::vector<Sequence> sequences = Tree::Make().Shared();
  const auto run = [&](at::ScalarType dtype) {
    const Transformer model = tiny::Load(GetParam(), {.dtype = dtype, .trainable = true});
    Adapter adapter = tiny::RandomAdapter(model.architecture(), dtype, /*vectors=*/true);
    const std::vector<NamedTensor> parameters = tiny::TensorsOf(adapter);
    for (const NamedTensor& parameter : parameters) parameter.tensor->requires_grad_(true);
    const AdapterPass pass(adapter, model.architecture(), dtype);
    LossOf(LogitsOf(model, sequences, AllRows(sequences), &pass)).backward();
    std::vector<std::pair<std::string, at::Tensor>> gradients;
    for (const NamedTensor& parameter : parameters) {
      gradients.emplace_back(parameter.name, parameter.tensor->grad());
    }
    return gradients;
  };
  const auto found = run(at::kFloat), expected = run(at::kDouble);
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_LE(RelativeError(found[i].second, expected[i].second), 1e-4) << found[i].first;
  }
}

// Through the kernels and through the composed operations, in float32.
TEST_P(AdapterTest, SharedBeginningsGiveTheSameLogits) {
  const Tree tree = Tree::Make();
  std::vector<int64_t> rows;
  const std::vector<Sequence> apart = tree.Apart(rows), shared = tree.Shared();
  at::Tensor by_kernels;
  for (const bool composed : {false, true}) {
    SCOPED_TRACE(composed ? "composed operations" : "kernels");
    const c10::InferenceMode inference(!composed);
    const c10::AutoGradMode recording(composed);
    const Transformer model = tiny::Load(GetParam(), {.dtype = at::kFloat, .trainable = composed});
    const Adapter adapter = tiny::RandomAdapter(model.architecture(), at::kFloat);
    const AdapterPass pass(adapter, model.architecture(), at::kFloat);
    const at::Tensor expected = LogitsOf(model, apart, rows, &pass);
    const at::Tensor found = LogitsOf(model, shared, AllRows(shared), &pass);
    EXPECT_LE(RelativeError(found, expected), 1e-5);
    EXPECT_GT(RelativeError(LogitsOf(model, apart, rows, nullptr), expected), 0.05);
    if (!composed) by_kernels = found;
    if (composed) {
      EXPECT_LE(RelativeError(found, by_kernels), 3e-5);
    }
  }
}

// A beginning with a past of its own, and a continuation whose keys and values are kept: what a
// reading does.
TEST_P(AdapterTest, ParentsMayHaveAPast) {
  const Tree tree = Tree::Make();
  std::vector<int64_t> rows;
  const std::vector<Sequence> apart = tree.Apart(rows);
  for (const bool composed : {false, true}) {
    SCOPED_TRACE(composed ? "composed operations" : "kernels");
    const c10::InferenceMode inference(!composed);
    const Transformer model = tiny::Load(GetParam(), {.dtype = at::kFloat, .trainable = composed});
    const Adapter adapter = tiny::RandomAdapter(model.architecture(), at::kFloat);
    const AdapterPass pass(adapter, model.architecture(), at::kFloat);
    const auto logits = [&](const std::vector<Sequence>& sequences) {
      return LogitsOf(model, sequences, AllRows(sequences), &pass);
    };
    const c10::AutoGradMode recording(false);
    const at::Tensor expected = LogitsOf(model, apart, rows, &pass);
    const auto past = model.MakeSegment(4), kept = model.MakeSegment(6);
    logits({{{tree.root.begin(), tree.root.begin() + 4}, {}, past}});
    const c10::AutoGradMode composing(composed);
    std::vector<Sequence> sequences = {{{tree.root.begin() + 4, tree.root.end()}, {past}, {}, -1},
                                       {tree.left, {}, composed ? nullptr : kept, 0},
                                       {tree.right, {}, {}, 0}};
    at::Tensor found = logits(sequences);
    EXPECT_LE(RelativeError(found, expected.narrow(0, 4, found.size(0))), 1e-5);
    if (composed) continue;
    EXPECT_EQ(kept->length, 6);
    // The leaf continues from what was kept.
    sequences = {{{tree.root.begin() + 4, tree.root.end()}, {past}, {}, -1},
                 {tree.leaf, {kept}, {}, 0}};
    found = logits(sequences).narrow(0, 5, 5);
    EXPECT_LE(RelativeError(found, expected.narrow(0, expected.size(0) - 5, 5)), 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, AdapterTest,
                         testing::Values("llama-3", "mistral", "qwen2", "qwen3", "qwen3-moe",
                                         "gemma2", "gemma3", "olmo2", "olmo3"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(AdapterPassTest, PartsOfAFusedProjectionAreOfTheirOwn) {
  const Transformer model = tiny::Load("llama-3", {.dtype = at::kDouble});
  const Architecture& architecture = model.architecture();
  const c10::InferenceMode inference;
  Adapter adapter = tiny::RandomAdapter(architecture, at::kDouble);
  const LowRank k = adapter.blocks[1].of(Target::kK), up = adapter.blocks[1].of(Target::kUp);
  adapter.blocks[1] = {};
  adapter.blocks[1].of(Target::kK) = k;
  adapter.blocks[1].of(Target::kUp) = up;
  const AdapterPass pass(adapter, architecture, at::kDouble);
  const at::Tensor x = tiny::Normal({5, architecture.d_model}, at::kDouble, 1);
  const auto update = [&](const LowRank& part) {
    return at::linear(at::linear(x, part.a), part.b) * adapter.scale();
  };
  const auto options = x.options();
  const at::Tensor qkv =
      pass.Add(1, AdapterPass::Place::kQkv, x, at::zeros({5, architecture.qkv_size()}, options));
  const int64_t q = architecture.q_size(), kv = architecture.kv_size();
  EXPECT_EQ(qkv.narrow(1, 0, q).abs().max().item<double>(), 0);
  EXPECT_LE(RelativeError(qkv.narrow(1, q, kv), update(k)), 1e-12);
  EXPECT_EQ(qkv.narrow(1, q + kv, kv).abs().max().item<double>(), 0);
  const at::Tensor gate_up =
      pass.Add(1, AdapterPass::Place::kGateUp, x, at::zeros({5, 2 * architecture.d_ff}, options));
  EXPECT_EQ(gate_up.narrow(1, 0, architecture.d_ff).abs().max().item<double>(), 0);
  EXPECT_LE(RelativeError(gate_up.narrow(1, architecture.d_ff, architecture.d_ff), update(up)),
            1e-12);
  const at::Tensor down = pass.Add(1, AdapterPass::Place::kDown, gate_up, x);
  EXPECT_TRUE(at::equal(down, x));
}

TEST(AdapterPassTest, DropoutFollowsItsGeneratorAndKeepsTheMean) {
  const Transformer model = tiny::Load("llama-3", {.dtype = at::kDouble});
  const Architecture& architecture = model.architecture();
  const c10::InferenceMode inference;
  const Adapter adapter = tiny::RandomAdapter(architecture, at::kDouble);
  constexpr int64_t kRows = 20000;
  const at::Tensor x =
      tiny::Normal({1, architecture.d_model}, at::kDouble, 1).expand({kRows, -1}).contiguous();
  const auto run = [&](double p, uint64_t seed) {
    const AdapterPass pass(adapter, architecture, at::kDouble,
                           {p, at::detail::createCPUGenerator(seed)});
    return pass.Add(0, AdapterPass::Place::kQkv, x,
                    at::zeros({kRows, architecture.qkv_size()}, x.options()));
  };
  const at::Tensor without = run(0, 1), with = run(0.4, 1);
  EXPECT_TRUE(at::equal(with, run(0.4, 1)));
  EXPECT_FALSE(at::equal(with, run(0.4, 2)));
  EXPECT_GT(RelativeError(with, without), 0.3);
  EXPECT_LE(RelativeError(with.mean(0), without.mean(0)), 0.03);
}

TEST(AdapterPassTest, ExpertsCannotBeAdapted) {
  const Architecture architecture = ArchitectureFromDirectory(tiny::kFamilies / "qwen3-moe");
  EXPECT_EQ(TargetShape(architecture, 0, Target::kO).first, architecture.d_model);
  EXPECT_PRED2(Contains, MessageOf([&] { TargetShape(architecture, 0, Target::kUp); }), "experts");
  EXPECT_PRED2(Contains, MessageOf([] { ParseTarget("w_proj"); }), "down_proj");
}

}  // namespace
}  // namespace extrospect
