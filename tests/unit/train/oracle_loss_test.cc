#include "train/oracle/oracle_loss.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/decode/tiny_model.h"

namespace extrospect {
namespace {

class OracleLossTest : public testing::Test {
 protected:
  void SetUp() override { model_ = tiny::Load(tiny::ModelFolder("oracle_loss_model")); }

  Exchange Ask(const std::string& answer) {
    const OraclePrompt prompt =
        MakeOraclePrompt(*model_, {.layers = "1"}, "What does the user feel?", answer);
    prefix_ = prompt.prefix;
    return MakeExchange(*model_, prompt);
  }

  double Loss(const std::vector<Exchange>& exchanges) const {
    const at::NoGradGuard no_grad;
    const auto n = static_cast<int64_t>(exchanges.size());
    const at::Tensor vectors = at::ones({n, 1, tiny::kWidth}, at::TensorOptions(at::kFloat));
    return SumOfAnswerLosses(*model_->transformer, nullptr, InjectionSite(), prefix_, exchanges,
                             vectors)
        .item<double>();
  }

  std::shared_ptr<const LanguageModel> model_;
  std::vector<int32_t> prefix_;
};

// Without a token, the others share its probability: the loss of each falls by −log(1 − p).
TEST_F(OracleLossTest, AnExcludedTokenDoesNotCompete) {
  const Exchange all = Ask("a");
  Exchange first = all;  // of the answer the first token alone
  first.tokens.resize(static_cast<size_t>(all.n_asked) + 1);
  // The token that competes most.
  double p = 0;
  int32_t excluded = -1;
  for (int32_t token = 0; token < 90; ++token) {
    Exchange other = first;
    other.tokens.back() = token;
    const double probability = std::exp(-Loss({other}));
    if (token == first.tokens.back() || probability < p) continue;
    p = probability;
    excluded = token;
  }
  ASSERT_GT(p, 0.01);
  Exchange first_without = first, without = all;
  first_without.excluded = without.excluded = excluded;
  EXPECT_NEAR(Loss({first}) - Loss({first_without}), -std::log1p(-p), 1e-4);
  EXPECT_LT(Loss({without}), Loss({all}));
  // Of one question only.
  EXPECT_NEAR(Loss({all, without}), Loss({all}) + Loss({without}), 1e-4);
}

TEST_F(OracleLossTest, AnAnswerIsNeverExcludedFromItself) {
  Exchange exchange = Ask("q");
  const double loss = Loss({exchange});
  exchange.excluded = *model_->tokenizer->FindToken("q");
  EXPECT_TRUE(std::isfinite(Loss({exchange})));
  EXPECT_LE(Loss({exchange}), loss);
}

}  // namespace
}  // namespace extrospect
