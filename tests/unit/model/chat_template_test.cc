#include "model/chat/chat_template.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "model/chat/jinja_source.h"
#include "tests/unit/model/error_message.h"

namespace extrospect {
namespace {

constexpr const char* kChatMl =
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}";

ChatTemplate Template(std::string source) {
  return ChatTemplate(std::move(source), {"<s>", "</s>"}, "test");
}

std::string Render(std::string source, const std::vector<ChatMessage>& messages = {}) {
  return Template(std::move(source)).Render(messages, /*add_generation_prompt=*/true);
}

std::string SpanText(const RenderedChat& chat, size_t i) {
  const auto [begin, end] = chat.content_spans[i];
  return chat.text.substr(begin, end - begin);
}

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = testing::TempDir() + "chat_XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  void Write(const char* name, const std::string& content) const {
    std::ofstream(path_ / name) << content;
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

TEST(ChatTemplate, HasTheVariablesOfTheReference) {
  EXPECT_EQ(Render("{{ bos_token }}|{{ eos_token }}|{{ add_generation_prompt }}"), "<s>|</s>|True");
  EXPECT_EQ(Render("{{ enable_thinking }}"), "False");
  EXPECT_EQ(Render("{{ strftime_now('%d %b %Y, %A, day %j') }}"), "26 Jul 2024, Friday, day 208");
  EXPECT_EQ(Render("{{ tools is defined }}{{ documents is defined }}"), "FalseFalse");
}

TEST(ChatTemplate, StripsWhatPythonStrips) {
  const std::vector<ChatMessage> messages = {{"user", "\u3000\x1f a \u00a0"}};
  EXPECT_EQ(Render("[{{ messages[0].content.strip() }}]", messages), "[a]");
  EXPECT_EQ(Render("[{{ messages[0]['content'].lstrip() }}]", messages), "[a \u00a0]");
  EXPECT_EQ(Render("[{{ messages[0].content.rstrip() + '.' }}]", messages), "[\u3000\x1f a.]");
  EXPECT_EQ(Render("[{{ (' x' + messages[0].content).strip() }}]", messages), "[x\u3000\x1f a]");
  EXPECT_EQ(Render("[{{ messages[0].content.strip().split('q')[0].strip() }}]", messages), "[a]");
  EXPECT_EQ(Render("{% if not messages[0].content.strip() == 'a' %}no{% endif %}", messages), "");
  EXPECT_EQ(Render("[{{ '\\nab\\n\\n'.strip('\\n') }}]"), "[ab]");
}

TEST(ChatTemplate, CommentsLeaveNoTrace) {
  EXPECT_EQ(Render("a{# one #}b {#- two -#} c\n{# three #}\nd"), "abc\nd");
  EXPECT_EQ(Render("a{#" + std::string(100'000, 'x') + "#}b"), "ab");
}

// trim_blocks and lstrip_blocks, but not in front of expressions.
TEST(ChatTemplate, TrimsAsTheReferenceDoes) {
  EXPECT_EQ(Render("a\n  {{ 'b' }}\n  {% if true %}\n  c\n  {% endif %}\nd\n"), "a\n  b\n  c\nd");
  EXPECT_EQ(Render("a {%- if true -%} \n b {%- endif %} c"), "ab c");
  EXPECT_EQ(Render("a\n  {%+ if true +%}\nb{% endif %}"), "a\n  \nb");
  EXPECT_EQ(Render("a \r\n{#- c -#}\u3000\r b\r"), "ab");
  EXPECT_EQ(Render("{ {%- if true %}% if x %}{% endif %}{#{#}{ {{- '}' }}"), "{% if x %}{}");
  EXPECT_EQ(Render("a" + std::string(50'000, ' ') + "{{- 'b' }}"), "ab");
}

TEST(ChatTemplate, ReplacesBytesThatAreNotText) {
  EXPECT_EQ(Render(kChatMl, {{"user", "a\xFF\xE2\x82z"}}), "<|user|>a\uFFFD\uFFFDz<|end|>");
}

TEST(ChatTemplate, RefusalsCarryTheTemplatesWords) {
  const std::string source =
      "{% for m in messages %}{% if m.role not in ['user', 'assistant'] %}"
      "{{ raise_exception('Unknown role: ' + m.role) }}{% endif %}{% endfor %}";
  const std::string message = MessageOf([&] { Render(source, {{"narrator", "x"}}); });
  EXPECT_NE(message.find("Unknown role: narrator"), std::string::npos) << message;
  EXPECT_NE(message.find("test"), std::string::npos) << message;
  EXPECT_EQ(message.find("row"), std::string::npos) << message;
}

TEST(ChatTemplate, ErrorsNameTheSource) {
  for (const char* source :
       {"{% for m in messages %}", "{{ messages", "{% endif %}", "{{ 1 + }}", "{% nonsense %}",
        "{{ [1, 2 }}", "{{ 'open }}", "{# never closed", "{% if %}x{% endif %}"}) {
    const std::string message = MessageOf([&] { Template(source); });
    EXPECT_NE(message.find("test"), std::string::npos) << source << ": " << message;
  }
  for (const char* source : {"{{ messages[9] }}", "{{ none.strip() }}", "{{ nothing() }}",
                             "{{ 'a' | no_such_filter }}", "{{ messages.content }}"}) {
    EXPECT_NO_FATAL_FAILURE(MessageOf([&] { Render(source); })) << source;
  }
}

TEST(ChatTemplate, HostileTemplatesAreRefused) {
  const auto repeat = [](const std::string& unit, int n) {
    std::string text;
    for (int i = 0; i < n; ++i) text += unit;
    return text;
  };
  const std::vector<std::string> hostile = {
      "{{ " + repeat("(", 100'000) + " }}",
      "{{ " + repeat("[", 1000) + repeat("]", 1000) + " }}",
      repeat("{% if true %}", 5000),
      "{{ " + repeat("not ", 20'000) + "true }}",
      "{{ 1" + repeat(" + 1", 20'000) + " }}",
      "{{ " + std::string(50'000, 'a') + " }}",
      "{{" + std::string(50'000, ' ') + "'b' }}",
      std::string(1 << 20, 'x'),
      "{{ 1 % 0 }}",
      "{% set z = 0 %}{{ 1 // z }}",
      "{{ 'abc'[10:0:-1] }}",
      "{{ 'abc'[a[1:2]:0:-1] }}",
      "{{ 'abc'.split('') }}",
      "{{ 1 / 2 }}",
      "{{ '\\u00e9' }}",
  };
  for (const std::string& source : hostile) {
    EXPECT_THROW(Template(source), Error) << source.substr(0, 40);
  }
  EXPECT_THROW(Render("{{ range(1000000000000) }}"), Error);
  EXPECT_THROW(Render("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"), Error);
  EXPECT_THROW(Render("{{ range(0, 1, 0)[0] }}"), Error);
}

TEST(ChatTemplate, UsualExpressionsAreNotRefused) {
  EXPECT_EQ(Render("{{ 7 % 2 }}{{ 7 // 2 }}{{ [1, 2, 3][::-1][0] }}{{ 'abc'[1:] }}{{ 'abc'[:2] }}"),
            "133bcab");
  EXPECT_EQ(Render("{{ {'a': {'b': [1, 2]}}['a']['b'][1] }}{{ '}}' }}{{ \"%}\" }}"), "2}}%}");
  EXPECT_EQ(Render("{ {% if 5 % 2 == 1 %}%{% endif %} }"), "{ % }");
}

TEST(ChatTemplate, HasFiltersThatMinjaLacks) {
  EXPECT_EQ(Render("{{ 'a-b-c' | replace('-', '+') }}{{ ('a,b'.split(',') | first) }}"), "a+b+ca");
  EXPECT_THROW(Render("{{ [] | first }}"), Error);
  EXPECT_THROW(Render("{{ 'a' | replace('', 'b') }}"), Error);
  EXPECT_THROW(Render("{{ 1 | trim }}"), Error);
}

TEST(ChatTemplate, MacrosKeepTheirBlanks) {
  EXPECT_EQ(Render("{% macro f(x) %}\n  {{ x }}\n  {% endmacro %}[{{ f(1) }}{{ f(2) }}]"),
            "[  1\n  2\n]");
  EXPECT_EQ(Render("{%- macro f(x) -%}\n  {{ x }}\n  {%- endmacro -%} [{{ f(1) }}]"), "[1]");
  EXPECT_EQ(Render("{% macro f(n) %}{{ n }}{% if n %}{{ f(n - 1) }}{% endif %}{% endmacro %}"
                   "{{ f(9) }}{{ f(3) }}"),
            "98765432103210");
}

TEST(ChatTemplate, SpansAreNotMistakenForHeaders) {
  const auto chat = Template(kChatMl).RenderWithSpans(
      {{"user", "user"}, {"assistant", "|"}, {"user", ""}, {"user", "end"}}, false);
  EXPECT_EQ(chat.text, "<|user|>user<|end|><|assistant|>|<|end|><|user|><|end|><|user|>end<|end|>");
  EXPECT_EQ(chat.content_spans,
            (std::vector<std::pair<size_t, size_t>>{{8, 12}, {32, 33}, {48, 48}, {63, 66}}));
}

TEST(ChatTemplate, SpansFollowTrimmingReorderingAndCutting) {
  // Trimmed.
  auto chat = Template("{% for m in messages %}({{ m.content | trim }}){% endfor %}")
                  .RenderWithSpans({{"user", " a "}, {"user", "\n"}, {"user", "b\n"}}, false);
  EXPECT_EQ(SpanText(chat, 0), "a");
  EXPECT_EQ(SpanText(chat, 1), "");
  EXPECT_EQ(SpanText(chat, 2), "b");
  // From the last to the first.
  chat = Template("{% for m in messages[::-1] %}({{ m.content }}){% endfor %}")
             .RenderWithSpans({{"user", "x"}, {"user", "y"}}, false);
  EXPECT_EQ(chat.text, "(y)(x)");
  EXPECT_EQ(SpanText(chat, 0), "x");
  EXPECT_EQ(SpanText(chat, 1), "y");
  // Only a part of the content.
  chat = Template("{% for m in messages %}({{ m.content.split('</think>')[-1] }}){% endfor %}")
             .RenderWithSpans({{"user", "q"}, {"assistant", "<think>t</think>answer"}}, false);
  EXPECT_EQ(chat.text, "(q)(answer)");
  EXPECT_EQ(SpanText(chat, 1), "answer");
  // Left out.
  chat = Template("{% for m in messages if m.role == 'user' %}({{ m.content }}){% endfor %}")
             .RenderWithSpans({{"user", "a"}, {"other", "a"}, {"user", "a"}}, false);
  EXPECT_EQ(chat.text, "(a)(a)");
  EXPECT_EQ(chat.content_spans, (std::vector<std::pair<size_t, size_t>>{{1, 2}, {2, 2}, {4, 5}}));
  // In another alphabet case, of which only the surroundings can tell.
  chat = Template("{% for m in messages %}({{ m.content | upper }}){% endfor %}")
             .RenderWithSpans({{"user", "ab"}, {"user", "c"}}, false);
  EXPECT_EQ(SpanText(chat, 0), "AB");
  EXPECT_EQ(SpanText(chat, 1), "C");
}

TEST(ChatTemplate, LoadsFromADirectory) {
  const TemporaryDirectory directory;
  EXPECT_FALSE(LoadChatTemplateFromDirectory(directory.path()).has_value());
  directory.Write("tokenizer_config.json", R"({"bos_token": {"content": "<b>", "special": true},
      "eos_token": "<e>", "chat_template": "{{ bos_token }}one{{ eos_token }}"})");
  EXPECT_EQ(LoadChatTemplateFromDirectory(directory.path())->Render({}, false), "<b>one<e>");
  directory.Write("tokenizer_config.json",
                  R"({"bos_token": null, "chat_template": [{"name": "rag", "template": "rag"},
                      {"name": "default", "template": "{{ bos_token }}two"}]})");
  EXPECT_EQ(LoadChatTemplateFromDirectory(directory.path())->Render({}, false), "two");
  directory.Write("chat_template.jinja", "three");
  EXPECT_EQ(LoadChatTemplateFromDirectory(directory.path())->Render({}, false), "three");
}

TEST(ChatTemplate, BadDirectoriesAreErrorsThatNameTheFile) {
  const TemporaryDirectory directory;
  const std::string deep =
      R"({"chat_template": )" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  for (const std::string& config :
       {std::string("{"), std::string("[]"), std::string(R"({"chat_template": 3})"),
        std::string(R"({"chat_template": [{}]})"), std::string(R"({"chat_template": "{% for %}"})"),
        deep}) {
    directory.Write("tokenizer_config.json", config);
    const std::string message = MessageOf([&] { LoadChatTemplateFromDirectory(directory.path()); });
    EXPECT_NE(message.find("tokenizer_config.json"), std::string::npos) << config << message;
  }
}

}  // namespace
}  // namespace extrospect
