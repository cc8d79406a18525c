// Chats against transformers' rendering (tools/fixtures/make_chats.py).
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "model/chat/chat_template.h"
#include "model/chat/content_spans.h"

namespace extrospect {
namespace {

using nlohmann::json;

const std::filesystem::path kFixtures = "tests/parity/fixtures/chat";

struct Chat {
  std::vector<ChatMessage> messages;
  bool add_generation_prompt;
};

std::vector<Chat> Chats() {
  std::vector<Chat> chats;
  for (const json& chat : json::parse(ReadFile(kFixtures / "chats.json"))) {
    chats.push_back({{}, chat["add_generation_prompt"]});
    for (const json& message : chat["messages"]) {
      chats.back().messages.push_back({message["role"], message["content"]});
    }
  }
  return chats;
}

class ChatParityTest : public testing::TestWithParam<std::string> {};

TEST_P(ChatParityTest, EveryChatIsTheReference) {
  const json expected = json::parse(ReadFile(kFixtures / (GetParam() + ".json")));
  const ChatTemplate chat_template(ReadFile(kFixtures / (GetParam() + ".jinja")),
                                   {expected["bos"], expected["eos"]}, GetParam());
  const std::vector<Chat> chats = Chats();
  ASSERT_EQ(chats.size(), expected["rendered"].size());
  for (size_t i = 0; i < chats.size(); ++i) {
    const auto& [messages, add_generation_prompt] = chats[i];
    const json& one = expected["rendered"][i];
    if (one.is_object()) {
      EXPECT_THROW(chat_template.Render(messages, add_generation_prompt), Error) << "chat " << i;
    } else {
      EXPECT_EQ(chat_template.Render(messages, add_generation_prompt), one) << "chat " << i;
    }
  }
}

// A span is its content, or the content without the white space around it, or (Qwen 3 leaves former
// thoughts out) the end of it.
TEST_P(ChatParityTest, SpansAreTheContents) {
  const json expected = json::parse(ReadFile(kFixtures / (GetParam() + ".json")));
  const ChatTemplate chat_template(ReadFile(kFixtures / (GetParam() + ".jinja")),
                                   {expected["bos"], expected["eos"]}, GetParam());
  const std::vector<Chat> chats = Chats();
  for (size_t i = 0; i < chats.size(); ++i) {
    if (expected["rendered"][i].is_object()) continue;
    const auto& [messages, add_generation_prompt] = chats[i];
    const RenderedChat chat = chat_template.RenderWithSpans(messages, add_generation_prompt);
    ASSERT_EQ(chat.text, expected["rendered"][i]);
    ASSERT_EQ(chat.content_spans.size(), messages.size());
    for (size_t m = 0; m < messages.size(); ++m) {
      const auto [begin, end] = chat.content_spans[m];
      ASSERT_LE(begin, end);
      ASSERT_LE(end, chat.text.size());
      const std::string rendered = chat.text.substr(begin, end - begin);
      const std::string content = messages[m].content;
      const std::string stripped(PythonStrip(content, true, true));
      const bool thought = content.find("</think>") != std::string::npos;
      EXPECT_TRUE(rendered == content || rendered == stripped || rendered.empty() || thought)
          << "chat " << i << " message " << m << ": " << rendered;
      const std::string& role = messages[m].role;
      const bool known = role == "user" || role == "assistant" ||
                         (role == "system" && m == 0 && messages.size() > 1);
      if (known && !stripped.empty() && !thought) {
        EXPECT_FALSE(rendered.empty()) << "chat " << i << " message " << m;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Templates, ChatParityTest,
                         testing::Values("smollm2", "qwen2.5", "qwen3", "mistral-nemo",
                                         "mistral-small-3.2", "olmo2", "olmo3", "llama2-like",
                                         "llama3-like", "gemma-like", "indented"),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) c = std::isalnum(c) != 0 ? c : '_';
                           return name;
                         });

TEST(ChatParity, TheModelHasTheFixtureTemplate) {
  const char* const model = std::getenv("EXTROSPECT_TEST_MODEL");
  if (model == nullptr) GTEST_SKIP() << "no model";
  const GgufFile file{std::filesystem::path(model)};
  const auto chat_template = LoadChatTemplateFromGguf(file);
  ASSERT_TRUE(chat_template.has_value());
  EXPECT_EQ(chat_template->source(), ReadFile(kFixtures / "smollm2.jinja"));
}

}  // namespace
}  // namespace extrospect
