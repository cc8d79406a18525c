// The dialog about transcripts, on a model with random weights.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <deque>
#include <sstream>

#include "base/error.h"
#include "decode/ask/ask_dialog.h"
#include "decode/ask/ask_session.h"
#include "decode/reader.h"
#include "decode/token_rows.h"
#include "tests/unit/decode/tiny_model.h"

namespace extrospect {
namespace {

using nlohmann::json;

Transcript Parsed(const std::string& line) { return ParseTranscript(line, "test", "x"); }

std::vector<Transcript> Transcripts() {
  return {Parsed(R"({"id": "first", "holder": "user", "messages": [
              {"role": "user", "content": "They laughed."},
              {"role": "assistant", "content": "Oh\u001b[2J"}]})"),
          Parsed(R"({"id": "second", "messages": [{"role": "user", "content": "Tea?"}]})")};
}

class AskTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { model_ = tiny::Load(tiny::ModelFolder("ask_model")); }
  static void TearDownTestSuite() { model_.reset(); }

  // What a dialog says on its two streams.
  struct Said {
    std::string out, err;
  };
  Said Talk(AskSession& session, std::deque<std::string> lines, bool as_json = false) {
    std::ostringstream out, err;
    const auto next = [&](std::string& line) {
      if (lines.empty()) return false;
      line = lines.front();
      lines.pop_front();
      return true;
    };
    DialogOptions options;
    options.json = as_json;
    Converse(session, next, options, out, err);
    return {out.str(), err.str()};
  }

  static std::shared_ptr<const LanguageModel> model_;
};
std::shared_ptr<const LanguageModel> AskTest::model_;

TEST_F(AskTest, AsksAboutTheMeanOfTheSpan) {
  const auto oracle = tiny::MakeOracle(model_);
  AskSession session(*oracle, *model_, Transcripts(), {});
  EXPECT_EQ(session.positions().front(), session.prepared().messages[0].begin);
  session.SelectSpan("7:9");
  EXPECT_EQ(session.positions(), (std::vector<uint32_t>{7, 8, 9}));
  const std::vector<Reading> readings = session.Ask("What is it?");
  ASSERT_EQ(readings.size(), 1u);
  EXPECT_EQ(readings[0].first_position, 7u);
  EXPECT_EQ(readings[0].position, 9u);
  // The same by hand.
  const TokenRows tokens =
      ExtractTokenRows(oracle->info(), *model_, {Transcripts()[0]}, {}, 4096, {});
  ReadOptions options;
  options.question = "What is it?";
  const auto expected = ReadRows(*oracle, tokens.rows.narrow(0, 7, 3).mean(0, true),
                                 {{"first", "user", 9, 7, session.TokenText(9)}}, options, {});
  EXPECT_EQ(ToJson(readings[0]), ToJson(expected[0]));
  // Another span, another reading.
  session.SelectSpan("3");
  EXPECT_NE(session.Ask("What is it?")[0].emotions[0].p, readings[0].emotions[0].p);
}

TEST_F(AskTest, BeginsWithTheTranscriptThatIsAskedFor) {
  const auto oracle = tiny::MakeOracle(model_);
  std::vector<Transcript> transcripts = Transcripts();
  transcripts[0].messages = {{"user", ""}};  // no content to ask about
  AskSession session(*oracle, *model_, transcripts, {}, "second");
  EXPECT_EQ(session.transcript().id, "second");
  try {
    AskSession(*oracle, *model_, transcripts, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("'first'"), std::string::npos) << error.what();
  }
}

TEST_F(AskTest, ADecoderOfSingleTokensAnswersAboutEach) {
  const auto oracle = tiny::MakeOracle(model_, "none");
  AskSession session(*oracle, *model_, Transcripts(), {});
  EXPECT_EQ(session.Ask("").size(), 1u);  // the last of its tokens
  session.SelectSpan(2, 4);
  const std::vector<Reading> readings = session.Ask("What is it?");
  ASSERT_EQ(readings.size(), 3u);
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(readings[i].position, 2 + i);
    EXPECT_EQ(readings[i].first_position, 2 + i);
  }
}

TEST_F(AskTest, MistakesAreSaidAndChangeNothing) {
  const auto oracle = tiny::MakeOracle(model_);
  AskSession session(*oracle, *model_, Transcripts(), {});
  const std::vector<uint32_t> before = session.positions();
  const std::vector<std::string> mistakes = {"span 9:7",   "span 0:5000", "span a:b",
                                             "span 1:2:3", "span -1:2",   "use third",
                                             "use",        "tokens some", "tokens role:tool"};
  for (const std::string& mistake : mistakes) {
    const Said said = Talk(session, {mistake});
    EXPECT_EQ(said.out, "") << mistake;
    EXPECT_NE(said.err, "") << mistake;
  }
  EXPECT_EQ(session.positions(), before);
  EXPECT_EQ(session.transcript().id, "first");
}

TEST_F(AskTest, TheDialogListsShowsAndAnswers) {
  const auto oracle = tiny::MakeOracle(model_);
  AskSession session(*oracle, *model_, Transcripts(), {});
  const Said list = Talk(session, {"list"});
  EXPECT_NE(list.out.find("* first  user: They laughed."), std::string::npos) << list.out;
  EXPECT_NE(list.out.find("  second"), std::string::npos);
  const Said shown = Talk(session, {"show", "span 6:8"});
  EXPECT_NE(shown.out.find("template\n"), std::string::npos) << shown.out;
  EXPECT_NE(shown.out.find("6\"T\"  7\"h\"  8\"e\""), std::string::npos) << shown.out;
  EXPECT_NE(shown.out.find("first, tokens 6:8 of"), std::string::npos) << shown.out;
  EXPECT_EQ(shown.out.find('\033'), std::string::npos);
  // Commands are whole lines; what only begins like one is a question. Nothing is done after quit.
  const Said asked =
      Talk(session, {"", "  use second  ", "show me what they feel", "quit", "list"});
  EXPECT_NE(asked.out.find("second, tokens"), std::string::npos);
  EXPECT_NE(asked.out.find("valence"), std::string::npos) << asked.out;
  EXPECT_EQ(asked.out.find("* second"), std::string::npos);
  EXPECT_EQ(asked.err, "");
}

TEST_F(AskTest, AnswersAsJsonHoldWhatWasAsked) {
  const auto oracle = tiny::MakeOracle(model_);
  AskOptions options;
  options.samples = 4;
  AskSession session(*oracle, *model_, Transcripts(), options);
  const Said said = Talk(session, {"span 6:8", "What does the {holder} feel?"}, /*as_json=*/true);
  const json answer = json::parse(said.out);  // one object: commands say nothing here
  EXPECT_EQ(answer["transcript"], "first");
  EXPECT_EQ(answer["span"], (json{6, 8}));
  EXPECT_EQ(answer["question"], "What does the {holder} feel?");
  EXPECT_TRUE(answer["answer"].is_string());
  EXPECT_EQ(answer["emotions"].size(), 4u);  // all that there are
  const double share = answer["confidence"].get<double>() * 4;
  EXPECT_EQ(share, std::round(share));
  EXPECT_NE(said.err.find("tokens 6:8"), std::string::npos);
}

}  // namespace
}  // namespace extrospect
