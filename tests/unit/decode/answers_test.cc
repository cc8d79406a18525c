// Questions in somebody's own words: what answers come down to, and how they are drawn.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "decode/oracle/agreement.h"
#include "decode/probe.h"
#include "decode/reader.h"
#include "tests/unit/decode/tiny_model.h"

namespace extrospect {
namespace {

Lexicon Words() {
  return Lexicon({{"sad", "", 0, 0, {}}, {"worn", "", 0, 0, {}}, {"worn out", "", 0, 0, {}}});
}

TEST(AgreementTest, MeansWhatIsNamedFirst) {
  const Lexicon lexicon = Words();
  EXPECT_EQ(AnswerMeaning(lexicon, "The user feels sad, not worn."), "sad");
  EXPECT_EQ(AnswerMeaning(lexicon, "SAD"), "sad");
  EXPECT_EQ(AnswerMeaning(lexicon, "The user is worn-out."), "worn out");
  EXPECT_EQ(AnswerMeaning(lexicon, "worn, outright"), "worn");
  EXPECT_EQ(AnswerMeaning(lexicon, "saddened by it"), "saddened by it");
  EXPECT_EQ(AnswerMeaning(lexicon, "The user feels nothing."), std::string(kNothing));
  EXPECT_EQ(AnswerMeaning(lexicon, "Nothing to report"), std::string(kNothing));
  EXPECT_EQ(AnswerMeaning(lexicon, " Yes, the user feels sad."), "yes");
  EXPECT_EQ(AnswerMeaning(lexicon, "No."), "no");
  EXPECT_EQ(AnswerMeaning(lexicon, "Nobody knows"), "nobody knows");
  EXPECT_EQ(AnswerMeaning(lexicon, "\n 4.\n"), "4");
  EXPECT_EQ(AnswerMeaning(lexicon, "Über  Köln!"), "Über köln");  // bytes beyond ASCII as they are
  EXPECT_EQ(AnswerMeaning(lexicon, "?!"), "");
}

TEST(AgreementTest, TheMajorityIsTheFirstOfItsKind) {
  const Lexicon lexicon = Words();
  const Agreement most = Agree(lexicon, {"worn", "so sad", "sad", "a cup of tea"});
  EXPECT_EQ(most.answer, 1u);
  EXPECT_DOUBLE_EQ(most.share, 0.5);
  EXPECT_EQ(Agree(lexicon, {"worn", "sad"}).answer, 0u);
  EXPECT_DOUBLE_EQ(Agree(lexicon, {"worn"}).share, 1.0);
}

class AnswersTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { model_ = tiny::Load(tiny::ModelFolder("answers_model")); }
  static void TearDownTestSuite() { model_.reset(); }

  static std::shared_ptr<const LanguageModel> model_;
};
std::shared_ptr<const LanguageModel> AnswersTest::model_;

TEST_F(AnswersTest, EveryRowAndSampleHasAStreamOfItsOwn) {
  const auto oracle = tiny::MakeOracle(model_);
  const at::Tensor rows = tiny::Rows(3);
  AnswerOptions options;
  options.question = "Is the {holder} calm?";
  options.samples = 4;
  options.temperature = 1.0;
  options.seed = 5;
  options.streams = {"a", "b", "c"};
  const auto answers = oracle->Answer(rows, {"user", "", "user"}, options);
  ASSERT_EQ(answers.size(), 3u);
  std::set<std::string> all;
  for (const auto& some : answers) {
    ASSERT_EQ(some.size(), 4u);
    all.insert(some.begin(), some.end());
  }
  EXPECT_GT(all.size(), 10u);  // random weights: hardly two alike
  // The same again; with another seed, others.
  EXPECT_EQ(oracle->Answer(rows, {"user", "", "user"}, options), answers);
  options.seed = 6;
  EXPECT_NE(oracle->Answer(rows, {"user", "", "user"}, options), answers);
  // A row alone, and fewer samples of it, draw what they drew among others.
  options.seed = 5;
  options.samples = 2;
  options.streams = {"b"};
  const auto alone = oracle->Answer(rows.narrow(0, 1, 1), {""}, options);
  EXPECT_EQ(alone[0], std::vector<std::string>(answers[1].begin(), answers[1].begin() + 2));
}

TEST_F(AnswersTest, WithoutATemperatureTheLikeliestIsSaid) {
  const auto oracle = tiny::MakeOracle(model_);
  const at::Tensor rows = tiny::Rows(2);
  AnswerOptions options;
  const auto once = oracle->Answer(rows, {}, options);
  options.samples = 3;
  options.seed = 9;
  const auto thrice = oracle->Answer(rows, {}, options);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(thrice[i], std::vector<std::string>(3, once[i][0]));
  }
  // The question and its holder are heard, and so is the row.
  options.samples = 1;
  options.question = "What does the {holder} want?";
  const auto user = oracle->Answer(rows, {"user", "user"}, options);
  options.question = "What does the user want?";
  EXPECT_EQ(oracle->Answer(rows, {}, options), user);
  EXPECT_NE(user, once);
}

TEST_F(AnswersTest, ReadingsSayTheMajorityAndItsShare) {
  const auto oracle = tiny::MakeOracle(model_);
  const at::Tensor rows = tiny::Rows(2);
  const std::vector<RowOrigin> origins = {{"t1", "user", 7, 3, ""}, {"t2", "", 4, 4, ""}};
  const auto plain = ReadRows(*oracle, rows, origins, ReadOptions(), {});
  ReadOptions options;
  options.question = "What is it?";
  const auto asked = ReadRows(*oracle, rows, origins, options, {});
  options.samples = 5;
  options.seed = 1;
  const auto sampled = ReadRows(*oracle, rows, origins, options, {});
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_NE(asked[i].reading, plain[i].reading);
    EXPECT_EQ(asked[i].confidence, plain[i].confidence);
    EXPECT_EQ(asked[i].emotions[0].p, plain[i].emotions[0].p);
    EXPECT_EQ(sampled[i].emotions[0].p, plain[i].emotions[0].p);
    // A share of five.
    EXPECT_NEAR(sampled[i].confidence * 5, std::round(sampled[i].confidence * 5), 1e-9);
    EXPECT_GE(sampled[i].confidence, 0.2);
  }
  AnswerOptions answer;
  answer.question = options.question;
  answer.samples = 5;
  answer.temperature = 1.0;
  answer.seed = 1;
  answer.streams = {"t1/3-7", "t2/4-4"};
  const auto answers = oracle->Answer(rows, {"user", ""}, answer);
  const Agreement agreement = Agree(oracle->info().lexicon, answers[0]);
  EXPECT_EQ(sampled[0].confidence, agreement.share);
  EXPECT_NE(answers[0][agreement.answer].find(sampled[0].reading), std::string::npos);
}

TEST_F(AnswersTest, OtherKindsRefuse) {
  const auto options = at::TensorOptions(at::kFloat).device(at::kCPU);
  const DecoderInfo info = tiny::Info(*model_, "probe");
  const int64_t features = 2 * tiny::kWidth, classes = info.lexicon.size();
  const Probe probe(info, {at::zeros({features}, options), at::ones({features}, options),
                           at::ones({classes, features}, options), at::zeros({classes}, options),
                           at::zeros({2, features}, options), at::zeros({2}, options)});
  EXPECT_FALSE(probe.answers());
  try {
    probe.Answer(tiny::Rows(1), {}, {});
    FAIL() << "the probe answered";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    EXPECT_NE(std::string(error.what()).find("probe"), std::string::npos);
  }
}

}  // namespace
}  // namespace extrospect
