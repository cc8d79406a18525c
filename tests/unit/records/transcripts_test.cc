#include "records/transcripts.h"

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "base/file.h"

namespace extrospect {
namespace {

Transcript Parse(std::string_view line) { return ParseTranscript(line, "t.jsonl, line 1", "t-1"); }

std::string ErrorOf(std::string_view line) {
  try {
    Parse(line);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(TranscriptsTest, ReadsMessagesLabelsAndKeepsTheLine) {
  const std::string line =
      R"({"id":"a","messages":[{"role":"user","content":"hi"}],"emotion":"sad","holder":"user",)"
      R"("intensity":3,"description":"d","split":"train","colour":"blue"})";
  const Transcript transcript = Parse(line);
  EXPECT_EQ(transcript.messages.size(), 1u);
  EXPECT_EQ(transcript.emotions, std::vector<std::string>({"sad"}));
  EXPECT_EQ(transcript.intensity, 3);
  EXPECT_EQ(transcript.json, line);
  EXPECT_FALSE(transcript.is_raw());
}

TEST(TranscriptsTest, ReadsShareGptAndRawText) {
  const Transcript share =
      Parse(R"({"conversations":[{"from":"human","value":"hi"},{"from":"gpt","value":"yes?"}]})");
  EXPECT_EQ(share.id, "t-1");
  EXPECT_EQ(share.messages[1].role, "assistant");
  EXPECT_TRUE(Parse(R"({"id":"r","text":"raw"})").is_raw());
}

TEST(TranscriptsTest, ErrorsNameTheField) {
  const auto expect = [](std::string_view line, const std::string& part) {
    EXPECT_NE(ErrorOf(line).find(part), std::string::npos) << line << "\n" << ErrorOf(line);
  };
  expect("{", "line 1");
  expect("[]", "one JSON object");
  expect(R"({"id":"a"})", "'messages'");
  expect(R"({"messages":[{"role":"user","content":"x"}]})", "field 'id'");
  expect(R"({"id":"a","messages":[]})", "field 'messages'");
  expect(R"({"id":"a","messages":[{"role":"user"}]})", "messages[0].content");
  expect(R"({"id":"a","messages":[{"role":1,"content":"x"}]})", "messages[0].role");
  expect(R"({"id":"a","text":"x","intensity":9})", "field 'intensity'");
  expect(R"({"id":"a","text":"x","holder":"dog"})", "field 'holder'");
  expect(R"({"id":"a","text":""})", "field 'text'");
  expect("{\"id\":\"a\",\"text\":\"\xff\"}", "line 1");
  expect(R"({"id":"a\u0000b","text":"x"})", "field 'id'");
  // Nothing behind it is left unread.
  expect(std::string(R"({"id":"a","text":"x"})") + '\0' + "{", "line 1");
}

TEST(TranscriptsTest, ErrorsNameTheLineOfAFile) {
  const auto path = std::filesystem::path(testing::TempDir()) / "twice.jsonl";
  WriteFileAtomically(path, "{\"id\":\"a\",\"text\":\"x\"}\n\n{\"id\":\"a\",\"text\":\"y\"}\n");
  try {
    ReadTranscripts(path);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("line 3"), std::string::npos) << error.what();
  }
  EXPECT_EQ(ReadTranscripts(path, 1).size(), 1u);
}

TEST(TranscriptsTest, SurvivesDeepNesting) {
  EXPECT_FALSE(ErrorOf(std::string(1 << 20, '[')).empty());
  const std::string deep = std::string(1 << 18, '[') + std::string(1 << 18, ']');
  EXPECT_NE(ErrorOf(R"({"id":"a","text":"x","intensity":)" + deep + "}").find("64 levels"),
            std::string::npos);
}

}  // namespace
}  // namespace extrospect
