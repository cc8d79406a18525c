#include "train/oracle/oracle_questions.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace extrospect {
namespace {

Example Ashamed() {
  const Lexicon lexicon = Lexicon::BuiltIn();
  Example example;
  example.id = "a";
  example.holder = "user";
  example.description = "The user feels ashamed of having forgotten.";
  example.intensity = 4;
  example.classes = {lexicon.Find("ashamed")};
  return example;
}

// The answers to 300 draws, by question.
std::set<std::pair<std::string, std::string>> Drawn(const Example& example,
                                                    const QuestionMix& mix) {
  const Lexicon lexicon = Lexicon::BuiltIn();
  RandomStream random(1, "questions");
  std::set<std::pair<std::string, std::string>> drawn;
  for (int i = 0; i < 300; ++i) {
    const QuestionAnswer qa = DrawQuestion(example, lexicon, mix, random);
    drawn.insert({qa.question, qa.answer});
  }
  return drawn;
}

TEST(OracleQuestionsTest, WithoutAMixThereIsOneQuestion) {
  EXPECT_EQ(Drawn(Ashamed(), {}), (std::set<std::pair<std::string, std::string>>{
                                      {"What does the user feel?", "The user feels ashamed."}}));
}

// One feeling and nothing to report: there is nothing to say no to.
TEST(OracleQuestionsTest, AClosedQuestionNeedsAFeelingToDeny) {
  std::vector<Emotion> emotions(2);
  emotions[0].word = "angry";
  emotions[1].word = kNothing;
  const Lexicon lexicon(emotions);
  QuestionMix mix;
  mix.closed = 1.0;
  RandomStream random(1, "questions");
  Example angry, calm;
  angry.classes = {lexicon.Find("angry")};
  calm.classes = {lexicon.nothing()};
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(DrawQuestion(angry, lexicon, mix, random).answer, "Yes.");
    EXPECT_EQ(DrawQuestion(calm, lexicon, mix, random).answer, "No.");
  }
  // All there are.
  emotions.resize(1);
  const Lexicon one(emotions);
  angry.classes = {one.Find("angry")};
  EXPECT_EQ(DrawQuestion(angry, one, mix, random).answer, "Yes.");
}

TEST(OracleQuestionsTest, EveryAnswerIsTrue) {
  QuestionMix mix;
  mix.closed = 0.3;
  mix.intensity = 0.2;
  mix.holder = 0.2;
  mix.described = 0.5;
  mix.unnamed = 0.3;
  mix.reworded = 0.5;
  bool yes = false, no = false, described = false, unnamed = false;
  for (const auto& [question, answer] : Drawn(Ashamed(), mix)) {
    if (answer == "Yes.") {
      yes = true;
      EXPECT_NE(question.find("ashamed"), std::string::npos) << question;
    } else if (answer == "No.") {
      no = true;
      EXPECT_EQ(question.find(" ashamed"), std::string::npos) << question;
      EXPECT_EQ(question.find("{"), std::string::npos) << question;
    } else if (answer == "Someone feels ashamed.") {
      unnamed = true;
      EXPECT_EQ(question.find("user"), std::string::npos) << question;
    } else if (answer == "The user feels ashamed of having forgotten.") {
      described = true;
    } else {
      EXPECT_TRUE(answer == "4." || answer == "The user's." || answer == "The user feels ashamed.")
          << question << " " << answer;
    }
  }
  EXPECT_TRUE(yes && no && described && unnamed);
}

TEST(OracleQuestionsTest, NothingIsNeverAffirmed) {
  Example example = Ashamed();
  const Lexicon lexicon = Lexicon::BuiltIn();
  example.classes = {lexicon.nothing()};
  example.description = "The user reports nothing of note.";
  QuestionMix mix;
  mix.closed = 0.5;
  mix.intensity = 0.2;
  mix.holder = 0.2;
  mix.described = 1.0;
  for (const auto& [question, answer] : Drawn(example, mix)) {
    EXPECT_TRUE(answer == "No." || answer == "The user feels nothing.") << question << answer;
  }
}

TEST(OracleQuestionsTest, MadeUpRowsAnswerForTheClassAlone) {
  const Lexicon lexicon = Lexicon::BuiltIn();
  QuestionMix mix;
  mix.closed = 0.3;
  mix.intensity = 0.3;
  mix.described = 0.5;
  RandomStream random(2, "questions");
  for (int i = 0; i < 200; ++i) {
    const QuestionAnswer qa = DrawQuestion(Ashamed(), lexicon, mix, random);
    const bool more = qa.answer == "4." || qa.answer.find("forgotten") != std::string::npos;
    EXPECT_EQ(qa.of_class >= 0, !more) << qa.question << " " << qa.answer;
  }
}

TEST(OracleQuestionsTest, OfSeveralLabelsTheMadeUpRowIsOfTheOneThatIsNamed) {
  const Lexicon lexicon = Lexicon::BuiltIn();
  Example example = Ashamed();
  example.classes.push_back(lexicon.Find("sad"));
  RandomStream random(3, "questions");
  std::set<int64_t> named;
  for (int i = 0; i < 40; ++i) {
    const QuestionAnswer qa = DrawQuestion(example, lexicon, QuestionMix(), random);
    ASSERT_GE(qa.of_class, 0);
    EXPECT_TRUE(qa.answer.ends_with(" " + lexicon[qa.of_class].word + ".")) << qa.answer;
    named.insert(qa.of_class);
  }
  EXPECT_EQ(named.size(), 2u);
}

}  // namespace
}  // namespace extrospect
