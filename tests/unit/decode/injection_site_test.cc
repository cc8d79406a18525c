// What an injection computes, and its gradients against finite differences in float64.
#include "decode/oracle/injection_site.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/hooks.h"
#include "tests/unit/model/tiny_models.h"

namespace extrospect {
namespace {

using tiny::NamedTensor;

const std::vector<int64_t> kRows = {2, 3, 9, 15};
const std::vector<Sequence> kSequences = {{{5, 6, 7, 8, 9, 10, 11}, {}, {}, -1},
                                          {{21, 22, 23, 24, 25}, {}, {}, 0},
                                          {{31, 32, 33, 34, 35, 36}, {}, {}, 0}};
constexpr int64_t kTokens = 18;

// The formulas of InjectionRule over plain rows, with the norms of the stream as they were when it
// was first applied: what the gradients are those of.
Injection Expected(const InjectionSite& site, const at::Tensor& vectors,
                   std::optional<at::Tensor>& norms) {
  return {site.block, [&norms, site, &vectors](at::Tensor& residual) {
            std::vector<at::Tensor> rows = residual.unbind(0);
            const at::NoGradGuard no_grad;
            if (!norms) norms = residual.norm(2, {1});
            for (size_t i = 0; i < kRows.size(); ++i) {
              at::Tensor& h = rows[static_cast<size_t>(kRows[i])];
              const at::Tensor v = vectors[static_cast<int64_t>(i)] * site.coefficient;
              const at::Tensor matched =
                  v * ((*norms)[kRows[i]] / vectors[static_cast<int64_t>(i)].norm());
              if (site.rule == InjectionRule::kAdd) h = h + matched;
              if (site.rule == InjectionRule::kReplace) h = matched;
              if (site.rule == InjectionRule::kScale) h = v;
            }
            residual = at::stack(rows);
          }};
}

class InjectionSiteTest : public testing::TestWithParam<InjectionRule> {
 protected:
  static at::Tensor Loss(const Transformer& model, const Adapter& adapter,
                         const Injection& injection) {
    const AdapterPass pass(adapter, model.architecture(), model.dtype());
    ForwardOptions forward;
    forward.sequences = kSequences;
    forward.adapter = &pass;
    forward.injections = {injection};
    for (int64_t row = 0; row < kTokens; ++row) forward.logit_rows.push_back(row);
    return at::cross_entropy_loss(model.Forward(forward).logits,
                                  (at::arange(kTokens, at::kLong) * 13 + 5) % 90);
  }
};

TEST_P(InjectionSiteTest, GradientsEqualFiniteDifferences) {
  for (const char* const family : {"llama-3", "gemma2"}) {
    const Transformer model = tiny::Load(family, {.dtype = at::kDouble, .trainable = true});
    for (const int64_t block : {kEmbeddingBlock, int64_t{1}}) {
      SCOPED_TRACE(std::string(family) + ", after block " + std::to_string(block));
      const InjectionSite site = {block, GetParam(), 1.7};
      Adapter adapter = tiny::RandomAdapter(model.architecture(), at::kDouble);
      at::Tensor vectors = tiny::Normal(
          {static_cast<int64_t>(kRows.size()), model.architecture().d_model}, at::kDouble, 77);
      std::vector<NamedTensor> parameters = tiny::TensorsOf(adapter);
      parameters.push_back({"vectors", &vectors});
      for (const NamedTensor& parameter : parameters) parameter.tensor->requires_grad_(true);
      const at::Tensor loss = Loss(model, adapter, InjectAt(site, kRows, vectors));
      loss.backward();
      std::vector<at::Tensor> gradients;
      for (const NamedTensor& parameter : parameters) {
        gradients.push_back(parameter.tensor->grad());
        *parameter.tensor = parameter.tensor->detach();
      }
      const at::NoGradGuard no_grad;
      std::optional<at::Tensor> norms;
      const auto held = [&] {
        return Loss(model, adapter, Expected(site, vectors, norms)).item<double>();
      };
      ASSERT_NEAR(held(), loss.item<double>(), 1e-10);
      uint64_t seed = 500;
      for (size_t i = 0; i < parameters.size(); ++i) {
        SCOPED_TRACE(parameters[i].name);
        at::Tensor& tensor = *parameters[i].tensor;
        ASSERT_TRUE(gradients[i].defined());
        const at::Tensor direction = tiny::Normal(tensor.sizes().vec(), at::kDouble, ++seed);
        EXPECT_NEAR((gradients[i] * direction).sum().item<double>(),
                    tiny::DerivativeAlong(tensor, direction, held),
                    1e-6 * (gradients[i].norm() * direction.norm()).item<double>() + 1e-10);
      }
    }
  }
}

TEST_P(InjectionSiteTest, OnlyItsRowsChange) {
  const InjectionSite site = {1, GetParam(), 1.7};
  for (const bool recording : {false, true}) {
    const c10::AutoGradMode mode(recording);
    const at::Tensor before = tiny::Normal({kTokens, 8}, at::kFloat, 3);
    const at::Tensor vectors = tiny::Normal({4, 8}, at::kFloat, 4);
    at::Tensor found = before.clone(), expected = before.clone();
    InjectAt(site, kRows, vectors).apply(found);
    std::optional<at::Tensor> norms;
    Expected(site, vectors, norms).apply(expected);
    EXPECT_TRUE(at::allclose(found, expected, 1e-5, 1e-6));
    for (int64_t row = 0; row < kTokens; ++row) {
      const bool chosen = std::find(kRows.begin(), kRows.end(), row) != kRows.end();
      EXPECT_EQ(at::equal(found[row], before[row]), !chosen) << row;
    }
  }
}

TEST_P(InjectionSiteTest, AVectorOfZerosIsANumber) {
  at::Tensor residual = tiny::Normal({kTokens, 8}, at::kFloat, 3);
  const at::Tensor before = residual.clone();
  InjectAt({1, GetParam(), 1.7}, kRows, at::zeros({4, 8})).apply(residual);
  EXPECT_TRUE(at::isfinite(residual).all().item<bool>());
  EXPECT_EQ(at::equal(residual, before), GetParam() == InjectionRule::kAdd);
}

INSTANTIATE_TEST_SUITE_P(Rules, InjectionSiteTest,
                         testing::Values(InjectionRule::kAdd, InjectionRule::kReplace,
                                         InjectionRule::kScale),
                         [](const auto& info) { return InjectionRuleName(info.param); });

TEST(InjectionRuleTest, NamesGoBothWays) {
  for (const char* const name : {"add", "replace", "scale"}) {
    EXPECT_EQ(InjectionRuleName(ParseInjectionRule(name)), name);
  }
  EXPECT_THROW(ParseInjectionRule("Add"), Error);
}

}  // namespace
}  // namespace extrospect
