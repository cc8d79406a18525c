#include "decode/oracle/oracle_input.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>

#include "base/error.h"
#include "decode/load.h"
#include "tests/unit/decode/tiny_model.h"

namespace extrospect {
namespace {

at::Tensor Floats(std::vector<float> values, at::IntArrayRef shape) {
  return at::tensor(values, at::TensorOptions(at::kFloat).device(at::kCPU)).view(shape);
}

TEST(OracleInputTest, CentresRowsAndMapsThem) {
  OracleInput input;
  input.mean = Floats({1, 2}, {1, 2});
  EXPECT_TRUE(input.Vectors(Floats({4, 4}, {1, 1, 2})).equal(Floats({3, 2}, {1, 1, 2})));
  input.map = Floats({0, 1, 1, 0}, {1, 2, 2});  // exchanges the two
  EXPECT_TRUE(input.Vectors(Floats({4, 4}, {1, 1, 2})).equal(Floats({2, 3}, {1, 1, 2})));
}

TEST(OracleInputTest, WeighsWordsOnceForEachSharpness) {
  OracleInput input;
  input.mean = Floats({1, 0}, {1, 2});
  input.keys = Floats({1, 0, 0, 1, 0, 0}, {3, 2});  // the third word only has its bias
  input.key_bias = Floats({0, 0, 0.5}, {3});
  input.codes = Floats({1, 0, 0, 1, -1, -1}, {3, 2});
  input.sharpness = Floats({1, 4}, {2});
  ASSERT_EQ(input.n_vectors(), 3);

  const at::Tensor row = Floats({3, 1}, {1, 1, 2});  // centred: 2, 1
  const double scores[] = {2, 1, 0.5};
  EXPECT_TRUE(at::allclose(input.Scores(row), Floats({2, 1, 0.5}, {1, 3})));
  const at::Tensor vectors = input.Vectors(row);
  ASSERT_EQ(vectors.sizes(), at::IntArrayRef({1, 3, 2}));
  for (int64_t k = 0; k < 2; ++k) {
    const double beta = k == 0 ? 1 : 4;
    double e[3], sum = 0;
    for (int i = 0; i < 3; ++i) sum += e[i] = std::exp(beta * scores[i]);
    EXPECT_NEAR(vectors[0][k][0].item<double>(), (e[0] - e[2]) / sum, 1e-6) << beta;
    EXPECT_NEAR(vectors[0][k][1].item<double>(), (e[1] - e[2]) / sum, 1e-6) << beta;
  }
  EXPECT_TRUE(vectors[0][2].equal(Floats({2, 1}, {2}))) << "the row itself comes last";

  // The same without the best word.
  OracleInput others_only = input;
  others_only.left_out = Floats({0, 0, 0, 1, 0, 0}, {2, 3});
  const at::Tensor rest = others_only.Vectors(row);
  EXPECT_TRUE(rest[0][0].equal(vectors[0][0]));
  const double second = 1 / (1 + std::exp(4 * (0.5 - 1)));
  EXPECT_NEAR(rest[0][1][0].item<double>(), -(1 - second), 1e-6);
  EXPECT_NEAR(rest[0][1][1].item<double>(), second - (1 - second), 1e-6);

  // With scores from elsewhere only the words' vectors change.
  const at::Tensor others = input.Vectors(row, Floats({0, 9, 0}, {1, 3}));
  EXPECT_NEAR(others[0][1][1].item<double>(), 1, 1e-6);
  EXPECT_TRUE(others[0][2].equal(vectors[0][2]));
}

// A decoder's folder with vectors of words, of which the second leaves out what `left_out` says.
TEST(OracleInputTest, WordsThatAreLeftOutAreKeptInTheFolder) {
  const auto model = tiny::Load(tiny::ModelFolder("oracle_input_model"));
  const DecoderInfo info = tiny::Info(*model, "selfie");
  const int64_t classes = info.lexicon.size();
  OracleWeights weights = tiny::Weights();
  const auto options = weights.input.mean.options();
  weights.input.keys =
      at::linspace(-1, 1, classes * 2 * tiny::kWidth, options).view({classes, 2 * tiny::kWidth});
  weights.input.key_bias = at::linspace(0, 1, classes, options);
  weights.input.codes =
      at::linspace(-2, 3, classes * tiny::kWidth, options).view({classes, tiny::kWidth});
  weights.input.sharpness = Floats({1, 1}, {2});
  weights.input.left_out = at::zeros({2, classes}, options);
  weights.input.left_out[1][classes - 1] = 1;

  const auto folder = std::filesystem::path(testing::TempDir()) / "oracle_input_decoder";
  const auto save = [&] {
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    WriteDecoderJson(folder, info, SaveOracle(folder, info, *model, tiny::Spec(), weights, 0.0));
  };
  save();
  const at::Tensor rows = tiny::Rows(3);
  const at::Tensor vectors = weights.input.Vectors(rows);
  EXPECT_FALSE(vectors.select(1, 0).equal(vectors.select(1, 1)));
  const at::Tensor before =
      Oracle(info, tiny::Spec(), weights, model).AnswerScores(rows, {"user", "user", "user"});
  const auto loaded = LoadDecoder(folder, at::kCPU, model);
  const at::Tensor after =
      dynamic_cast<const Oracle&>(*loaded).AnswerScores(rows, {"user", "user", "user"});
  EXPECT_TRUE(after.equal(before));

  weights.input.left_out[1].fill_(1);
  save();
  try {
    LoadDecoder(folder, at::kCPU, model);
    FAIL() << "a vector of no words was taken";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("input.left_out"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace extrospect
