#include "decode/oracle/combined_scores.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "decode/load.h"
#include "tests/unit/decode/tiny_model.h"

namespace extrospect {
namespace {

constexpr int64_t kNothingClass = 1;

// Log-probabilities of two rows over two feelings and, between them, nothing to report.
at::Tensor Logs(const std::vector<double>& p) {
  return at::tensor(p, at::TensorOptions(at::kDouble).device(at::kCPU))
      .view({2, 3})
      .log()
      .to(at::kFloat);
}

TEST(CombinedScoresTest, FeelingsAreWeighedByBothAndNothingByTheAnswers) {
  const at::Tensor answers = Logs({0.3, 0.4, 0.3, 0.01, 0.98, 0.01});
  const at::Tensor reading = Logs({0.16, 0.8, 0.04, 0.2, 0.7, 0.1});
  const at::Tensor p = CombinedScores(answers, reading, 0.5, kNothingClass).exp();
  // √(0.16 / 0.04) = 2 to 1 of the 0.6 that the answers leave to feelings; √2 to 1 of the 0.02.
  const double root = std::sqrt(2.0);
  const at::Tensor expected =
      Logs({0.4, 0.4, 0.2, 0.02 * root / (1 + root), 0.98, 0.02 / (1 + root)}).exp();
  EXPECT_TRUE(at::allclose(p, expected, 1e-5, 1e-7)) << p;
}

TEST(CombinedScoresTest, ScoresNeedNotBeNormalised) {
  const at::Tensor answers = Logs({0.3, 0.4, 0.3, 0.01, 0.98, 0.01});
  const at::Tensor reading = Logs({0.16, 0.8, 0.04, 0.2, 0.7, 0.1});
  const at::Tensor given = answers + 3, before = given.clone();
  EXPECT_TRUE(at::allclose(CombinedScores(given, reading - 7, 0.3, kNothingClass),
                           CombinedScores(answers, reading, 0.3, kNothingClass), 1e-5, 1e-5));
  EXPECT_TRUE(given.equal(before));
}

TEST(CombinedScoresTest, WithoutAShareTheAnswersStand) {
  const at::Tensor answers = Logs({0.3, 0.4, 0.3, 0.01, 0.98, 0.01});
  const at::Tensor reading = Logs({0.16, 0.8, 0.04, 0.2, 0.7, 0.1});
  EXPECT_TRUE(
      at::allclose(CombinedScores(answers, reading, 0, kNothingClass), answers, 1e-5, 1e-6));
  const at::Tensor all = CombinedScores(answers, reading, 1, kNothingClass).exp();
  EXPECT_NEAR(all[0][0].item<double>(), 0.6 * 0.8, 1e-6);
  EXPECT_NEAR(all[0][kNothingClass].item<double>(), 0.4, 1e-6);
}

// An oracle's folder, with a closed-form reading or without, as its decoder.json says.
class ReadingShareTest : public testing::Test {
 protected:
  ReadingShareTest()
      : model_(tiny::Load(tiny::ModelFolder("reading_share_model"))),
        info_(tiny::Info(*model_, "selfie")),
        weights_(tiny::Weights()),
        folder_(std::filesystem::path(testing::TempDir()) / "reading_share_decoder") {
    const int64_t classes = info_.lexicon.size(), width = 2 * tiny::kWidth;
    const auto options = weights_.input.mean.options();
    weights_.input.keys = at::linspace(-1, 1, classes * width, options).view({classes, width});
    weights_.input.key_bias = at::linspace(0, 1, classes, options);
    weights_.input.codes =
        at::linspace(-2, 3, classes * tiny::kWidth, options).view({classes, tiny::kWidth});
    weights_.input.sharpness = at::ones({1}, options);
  }

  void Save(double share) const {
    OracleSpec spec = tiny::Spec();
    spec.reading_share = share;
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    WriteDecoderJson(folder_, info_, SaveOracle(folder_, info_, spec, weights_, 0.0));
  }

  std::unique_ptr<Decoder> Load() const { return LoadDecoder(folder_, at::kCPU, model_); }

  void ExpectRefused(const std::string& part) const {
    try {
      Load();
      ADD_FAILURE() << "nothing was thrown; expected " << part;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  }

  std::shared_ptr<const LanguageModel> model_;
  DecoderInfo info_;
  OracleWeights weights_;
  std::filesystem::path folder_;
};

TEST_F(ReadingShareTest, IsKeptInTheFolderAndCountsInReading) {
  const at::Tensor rows = tiny::Rows(3);
  const std::vector<std::string> holders = {"user", "user", "assistant"};
  Save(0.0);
  const at::Tensor answers = Load()->Read(rows, holders).log_p;
  Save(0.25);
  const auto loaded = Load();
  const auto& oracle = dynamic_cast<const Oracle&>(*loaded);
  EXPECT_EQ(oracle.spec().reading_share, 0.25);
  const at::Tensor both = oracle.Read(rows, holders).log_p;
  const int64_t nothing = info_.lexicon.nothing();
  EXPECT_TRUE(at::allclose(both.select(1, nothing), answers.select(1, nothing), 1e-5, 1e-6));
  EXPECT_FALSE(at::allclose(both, answers, 1e-3, 1e-3));
  EXPECT_TRUE(at::allclose(
      both, CombinedScores(answers, weights_.input.Scores(rows), 0.25, nothing), 1e-5, 1e-5));
}

TEST_F(ReadingShareTest, AFileWithoutTheFieldMeansNone) {
  Save(0.25);
  auto file = nlohmann::json::parse(std::ifstream(folder_ / "decoder.json"));
  file["selfie"].erase("reading_share");
  std::ofstream(folder_ / "decoder.json") << file.dump();
  const auto loaded = Load();
  EXPECT_EQ(dynamic_cast<const Oracle&>(*loaded).spec().reading_share, 0);
}

TEST_F(ReadingShareTest, IsRefusedWhereItMakesNoSense) {
  Save(1.5);
  ExpectRefused("reading_share");
  weights_.input.keys = weights_.input.key_bias = weights_.input.codes = weights_.input.sharpness =
      at::Tensor();
  Save(0.5);
  ExpectRefused("reading_share");
  Save(0.0);
  EXPECT_EQ(Load()->Read(tiny::Rows(1), {"user"}).log_p.size(0), 1);
}

}  // namespace
}  // namespace extrospect
