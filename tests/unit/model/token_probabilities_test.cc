// Probabilities of chosen tokens: what the model's dtype would round away is kept.
#include "model/forward/token_probabilities.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "tests/unit/model/tiny_models.h"

namespace extrospect {
namespace {

const std::vector<int32_t> kTokens = {3, 0, 17, 29};

at::Tensor Residual(const Transformer& transformer) {
  return tiny::Normal({5, transformer.architecture().d_model}, at::kFloat, 1) * 3;
}

class TokenProbabilitiesTest : public testing::TestWithParam<const char*> {};

// Of families with an output matrix of their own (which may be packed), with the embeddings', and
// with a soft-cap.
INSTANTIATE_TEST_SUITE_P(Families, TokenProbabilitiesTest,
                         testing::Values("llama-2", "qwen3", "gemma2"));

TEST_P(TokenProbabilitiesTest, InFloat32AreThoseOfTheSoftmax) {
  const c10::InferenceMode inference;
  const Transformer transformer = tiny::Load(GetParam(), {});
  const at::Tensor residual = Residual(transformer);
  const at::Tensor all = at::log_softmax(transformer.Unembed(residual), 1);
  const at::Tensor chosen = TokenProbabilities(transformer, kTokens).Log(residual);
  for (size_t i = 0; i < kTokens.size(); ++i) {
    EXPECT_TRUE(at::allclose(chosen.select(1, static_cast<int64_t>(i)), all.select(1, kTokens[i]),
                             1e-5, 1e-5));
  }
}

TEST_P(TokenProbabilitiesTest, InBfloat16AreNotRounded) {
  const c10::InferenceMode inference;
  const Transformer rounded = tiny::Load(GetParam(), {.dtype = at::kBFloat16});
  const Transformer whole = tiny::Load(GetParam(), {});
  const at::Tensor residual = Residual(rounded);
  // The matrix in bfloat16, everything else in double.
  const at::Tensor matrix = whole.weights().head.weight().to(at::kBFloat16).to(at::kDouble);
  const at::Tensor rows = residual.to(at::kDouble);
  const Architecture& architecture = rounded.architecture();
  at::Tensor logits =
      at::matmul(rows / (rows.square().mean(1, true) + architecture.norm_eps).sqrt() *
                     whole.weights().final_norm.to(at::kDouble),
                 matrix.t());
  const double cap = architecture.final_softcap;
  if (cap > 0) logits = at::tanh(logits / cap) * cap;

  const at::Tensor chosen = TokenProbabilities(rounded, kTokens).Log(residual);
  for (size_t i = 1; i < kTokens.size(); ++i) {
    // The normaliser falls out of differences.
    const at::Tensor got = chosen.select(1, static_cast<int64_t>(i)) - chosen.select(1, 0);
    const at::Tensor wanted = logits.select(1, kTokens[i]) - logits.select(1, kTokens[0]);
    EXPECT_LE((got - wanted).abs().max().item<double>(), 2e-5) << kTokens[i];
  }
  // With all tokens chosen, it is the whole softmax.
  std::vector<int32_t> tokens(static_cast<size_t>(architecture.vocab_size));
  std::iota(tokens.begin(), tokens.end(), 0);
  const at::Tensor every = TokenProbabilities(rounded, tokens).Log(residual);
  EXPECT_LE((every - at::log_softmax(logits, 1)).abs().max().item<double>(), 2e-5);
}

}  // namespace
}  // namespace extrospect
