#include "decode/oracle/logit_lens.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/unit/decode/tiny_model.h"

namespace extrospect {
namespace {

// What the model itself makes of its last residual stream.
TEST(LogitLensTest, OfTheLastBlockIsTheModelsOwnPrediction) {
  const c10::InferenceMode inference;
  const auto model = tiny::Load(tiny::ModelFolder("lens_model"));
  const std::vector<Sequence> sequences = {{{3, 1, 4, 1, 5}, {}, nullptr}};
  ForwardOptions forward;
  forward.sequences = sequences;
  forward.logit_rows = {1, 4};
  const ForwardResult result = model->transformer->Forward(forward);
  const at::Tensor log_p = at::log_softmax(result.logits, 1);
  const at::Tensor rows =
      at::stack({result.residual[1], result.residual[4]}).unsqueeze(1).to(at::kFloat);

  DecoderInfo info = tiny::Info(*model, kLogitLensKind);
  info.hooks = {HookName(tiny::kLayers - 1)};
  const auto options = at::TensorOptions(at::kFloat).device(at::kCPU);
  const int64_t classes = info.lexicon.size();
  const LogitLensWeights none = {at::zeros({1, tiny::kWidth}, options),
                                 at::zeros({classes}, options)};
  const at::Tensor scores = LogitLens(info, {}, none, model).WordScores(rows);
  ASSERT_EQ(scores.sizes(), (std::vector<int64_t>{2, classes}));
  for (int64_t word = 0; word < classes; ++word) {
    const std::string text = word == info.lexicon.nothing() ? "nothing" : info.lexicon[word].word;
    // This vocabulary has no letters with a space before them: the first letter counts.
    const int32_t token = model->tokenizer->FindToken(text.substr(0, 1)).value();
    for (int64_t i = 0; i < 2; ++i) {
      EXPECT_NEAR(scores[i][word].item<float>(), log_p[i][token].item<float>(), 1e-4) << text;
    }
  }
  // "angry" and "annoyed" begin alike.
  EXPECT_TRUE(scores.select(1, 0).equal(scores.select(1, 1)));

  // What is taken away before and after.
  const LogitLensWeights some = {tiny::Rows(1).select(1, 0), at::ones({classes}, options)};
  const at::Tensor both =
      LogitLens(info, {.centre = true, .minus_prior = true}, some, model).WordScores(rows);
  const at::Tensor expected = LogitLens(info, {}, none, model).WordScores(rows - some.mean) - 1;
  EXPECT_TRUE(at::allclose(both, expected, 1e-5, 1e-5));

  // Of two hooks, the mean of both.
  info.hooks = {HookName(0), HookName(1)};
  const LogitLensWeights two = {at::zeros({2, tiny::kWidth}, options), none.prior};
  const at::Tensor pair = at::cat({rows, rows.flip(0)}, 1);
  const at::Tensor mean = LogitLens(info, {}, two, model).WordScores(pair);
  EXPECT_TRUE(at::allclose(mean, (scores + scores.flip(0)) / 2, 1e-5, 1e-5));
}

}  // namespace
}  // namespace extrospect
