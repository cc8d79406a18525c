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
#include "decode/oracle/naming_reading.h"
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

// A reading that knows nothing of fainter feelings.
NamingScores Usual(const at::Tensor& scores) { return {scores, scores}; }

TEST(CombinedScoresTest, FeelingsAreWeighedByBothAndNothingByTheAnswers) {
  const at::Tensor answers = Logs({0.3, 0.4, 0.3, 0.01, 0.98, 0.01});
  const at::Tensor reading = Logs({0.16, 0.8, 0.04, 0.2, 0.7, 0.1});
  const at::Tensor p = CombinedScores(answers, Usual(reading), 0.5, kNothingClass).exp();
  // The answers weigh both feelings alike, the reading 4 to 1 and 2 to 1, with shares of the 0.6
  // and 0.02 that the answers leave to feelings.
  const double first = std::pow(4, std::pow(0.5, 0.6)), second = std::pow(2, std::pow(0.5, 0.02));
  const at::Tensor expected = Logs({0.6 * first / (1 + first), 0.4, 0.6 / (1 + first),
                                    0.02 * second / (1 + second), 0.98, 0.02 / (1 + second)})
                                  .exp();
  EXPECT_TRUE(at::allclose(p, expected, 1e-5, 1e-7)) << p;
}

TEST(CombinedScoresTest, WhereNothingIsFoundFaintFeelingsAreNamed) {
  const at::Tensor answers = Logs({0.6, 1e-6, 0.4, 1e-6, 1 - 3e-6, 2e-6});
  const NamingScores reading = {Logs({0.8, 0.1, 0.1, 0.8, 0.1, 0.1}),
                                Logs({0.1, 0.1, 0.8, 0.1, 0.1, 0.8})};
  const at::Tensor p = CombinedScores(answers, reading, 0.5, kNothingClass).exp();
  const auto ratio = [&](int64_t row) { return (p[row][0] / p[row][2]).item<double>(); };
  EXPECT_NEAR(ratio(0), std::sqrt(1.5 * 8), 1e-3);  // sure of a feeling: answers and usual
  EXPECT_NEAR(ratio(1), 1.0 / 8, 1e-3);             // none: fainter feelings alone
}

TEST(CombinedScoresTest, InBetweenFeelingsOfBothStrengthsCount) {
  const at::Tensor answers = Logs({0.3, 0.4, 0.3, 0.3, 0.4, 0.3});
  const NamingScores reading = {Logs({0.8, 0.1, 0.1, 0.8, 0.1, 0.1}),
                                Logs({0.1, 0.1, 0.8, 0.1, 0.1, 0.8})};
  const at::Tensor p = CombinedScores(answers, reading, 1, kNothingClass).exp();
  // 8 to 1 by 0.6 of the weight, 1 to 8 by 0.4.
  EXPECT_NEAR((p[0][0] / p[0][2]).item<double>(), std::pow(8, 0.6 - 0.4), 1e-4);
}

TEST(CombinedScoresTest, ScoresNeedNotBeNormalised) {
  const at::Tensor answers = Logs({0.3, 0.4, 0.3, 0.01, 0.98, 0.01});
  const at::Tensor reading = Logs({0.16, 0.8, 0.04, 0.2, 0.7, 0.1});
  const at::Tensor given = answers + 3, before = given.clone();
  EXPECT_TRUE(at::allclose(CombinedScores(given, {reading - 7, reading + 2}, 0.3, kNothingClass),
                           CombinedScores(answers, Usual(reading), 0.3, kNothingClass), 1e-5,
                           1e-5));
  EXPECT_TRUE(given.equal(before));
}

TEST(CombinedScoresTest, WithoutAShareTheAnswersStand) {
  const at::Tensor answers = Logs({0.3, 0.4, 0.3, 0.01, 0.98, 0.01});
  const at::Tensor reading = Logs({0.16, 0.8, 0.04, 0.2, 0.7, 0.1});
  EXPECT_TRUE(
      at::allclose(CombinedScores(answers, Usual(reading), 0, kNothingClass), answers, 1e-5, 1e-6));
  const at::Tensor all = CombinedScores(answers, Usual(reading), 1, kNothingClass).exp();
  EXPECT_NEAR(all[0][0].item<double>(), 0.6 * 0.8, 1e-6);
  EXPECT_NEAR(all[0][kNothingClass].item<double>(), 0.4, 1e-6);
}

// An oracle's folder, with a naming reading or without, as its decoder.json says.
class ReadingShareTest : public testing::Test {
 protected:
  ReadingShareTest()
      : model_(tiny::Load(tiny::ModelFolder("reading_share_model"))),
        info_(tiny::Info(*model_, "selfie")),
        weights_(tiny::Weights()),
        folder_(std::filesystem::path(testing::TempDir()) / "reading_share_decoder") {
    const int64_t classes = info_.lexicon.size(), width = 2 * tiny::kWidth;
    const auto options = weights_.input.mean.options();
    weights_.naming.weight = at::linspace(-1, 1, classes * width, options).view({classes, width});
    weights_.naming.bias = at::linspace(0, 1, classes, options);
    weights_.input.mean += 0.5;
  }

  void Save(double share) const {
    OracleSpec spec = tiny::Spec();
    spec.reading_share = share;
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    WriteDecoderJson(folder_, info_, SaveOracle(folder_, info_, *model_, spec, weights_, 0.0));
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
      both, CombinedScores(answers, weights_.naming.Scores(rows - 0.5, nothing), 0.25, nothing),
      1e-4, 1e-4));
}

TEST_F(ReadingShareTest, KnowsFainterFeelingsWhereCalmRowsWereThere) {
  const at::Tensor rows = tiny::Rows(3);
  const auto read = [&] {
    Save(1.0);
    return dynamic_cast<const Oracle&>(*Load()).NamingScoresOf(rows);
  };
  const NamingScores without = read();
  EXPECT_TRUE(without.any_strength.equal(without.usual));
  const at::Tensor calm = weights_.naming.calm = without.usual[0] / 2;
  const NamingScores with = read();
  EXPECT_TRUE(with.usual.equal(without.usual));
  EXPECT_TRUE(at::allclose(with.any_strength,
                           AnyStrengthScores(with.usual, calm, info_.lexicon.nothing())));
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
  weights_.naming = {};
  Save(0.5);
  ExpectRefused("reading_share");
  Save(0.0);
  EXPECT_EQ(Load()->Read(tiny::Rows(1), {"user"}).log_p.size(0), 1);
}

}  // namespace
}  // namespace extrospect
