#include "model/chat/chat_template.h"

#include <ctime>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/bounded_json.h"
#include "base/error.h"
#include "base/file.h"
#include "minja/minja.hpp"
#include "model/chat/content_spans.h"
#include "model/chat/jinja_source.h"
#include "model/tokenizer/utf8.h"

namespace extrospect {
namespace {

using minja::Value;
using nlohmann::json;

constexpr size_t kMaxFileBytes = size_t{1} << 26;
constexpr int64_t kMaxRange = 100'000;
constexpr int kMaxDepth = 50;  // of macros that call macros

using Arguments = minja::ArgumentsValue;

template <typename Function>
Value Callable(const Function& function) {
  return Value::callable([function](const std::shared_ptr<minja::Context>&, Arguments& arguments) {
    return Value(function(arguments.args));
  });
}

std::string TextArgument(const std::vector<Value>& arguments, size_t i, const char* function) {
  if (i < arguments.size() && arguments[i].is_string()) return arguments[i].get<std::string>();
  throw std::runtime_error(std::string(function) + ": expected a text");
}

Value StripFilter(bool left, bool right) {
  return Callable([left, right](const std::vector<Value>& arguments) {
    const std::string text = TextArgument(arguments, 0, "trim");
    if (arguments.size() > 1) throw std::runtime_error("trim: expected one text");
    return std::string(PythonStrip(text, left, right));
  });
}

// What minja lacks, or does otherwise than Jinja on Python, or without a limit.
void AddFunctions(minja::Context* context) {
  context->set("trim", StripFilter(true, true));
  context->set("python_strip", StripFilter(true, true));
  context->set("python_lstrip", StripFilter(true, false));
  context->set("python_rstrip", StripFilter(false, true));
  context->set("first", Callable([](const std::vector<Value>& arguments) {
                 if (arguments.size() != 1 || !arguments[0].is_array() || arguments[0].empty()) {
                   throw std::runtime_error("first: expected a list that is not empty");
                 }
                 return Value(arguments[0].at(0));
               }));
  context->set("replace", Callable([](const std::vector<Value>& arguments) {
                 std::string text = TextArgument(arguments, 0, "replace");
                 const std::string from = TextArgument(arguments, 1, "replace");
                 const std::string to = TextArgument(arguments, 2, "replace");
                 if (from.empty()) throw std::runtime_error("replace: expected a text to replace");
                 for (size_t at = 0; (at = text.find(from, at)) != std::string::npos;) {
                   text.replace(at, from.size(), to);
                   at += to.size();
                 }
                 return text;
               }));
  context->set("range", Callable([](const std::vector<Value>& arguments) {
                 if (arguments.empty() || arguments.size() > 3) {
                   throw std::runtime_error("range: expected one to three numbers");
                 }
                 std::vector<int64_t> given;
                 for (const Value& argument : arguments) given.push_back(argument.get<int64_t>());
                 const int64_t begin = given.size() == 1 ? 0 : given[0];
                 const int64_t end = given.size() == 1 ? given[0] : given[1];
                 const int64_t step = given.size() == 3 ? given[2] : 1;
                 Value numbers = Value::array();
                 for (int64_t i = begin; step > 0 ? i < end : (step < 0 && i > end); i += step) {
                   if (numbers.size() == kMaxRange) throw std::runtime_error("range: too long");
                   numbers.push_back(Value(i));
                 }
                 return numbers;
               }));
  context->set("strftime_now", Callable([](const std::vector<Value>& arguments) {
                 if (arguments.size() != 1) {
                   throw std::runtime_error("strftime_now: expected a format");
                 }
                 std::tm date{};
                 date.tm_year = 2024 - 1900;
                 date.tm_mon = 6;
                 date.tm_mday = 26;
                 date.tm_wday = 5;
                 date.tm_yday = 207;
                 char text[256];
                 const size_t size = std::strftime(text, sizeof(text),
                                                   arguments[0].get<std::string>().c_str(), &date);
                 return std::string(text, size);
               }));
}

// minja adds the place of an error in the prepared source, which nobody knows.
std::string WithoutPlace(std::string_view message) {
  return std::string(message.substr(0, message.find(" at row ")));
}

json ReadJson(const std::filesystem::path& path) {
  json config = ParseBoundedJson(ReadFile(path, kMaxFileBytes), path.string());
  if (config.is_object()) return config;
  throw Error("cannot read the chat template").At(path.string()).Expected("an object");
}

// A special token is given as its text, or as an object that has it as "content".
std::string TokenText(const json& config, const char* key) {
  const auto token = config.find(key);
  if (token == config.end()) return "";
  if (token->is_string()) return token->get<std::string>();
  if (token->is_object()) return token->value("content", "");
  return "";
}

// "chat_template" is the text itself, or a list of named ones.
std::optional<std::string> TemplateText(const json& config, const std::filesystem::path& path) {
  const auto value = config.find("chat_template");
  if (value == config.end() || value->is_null()) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  for (const json& one : *value) {
    if (one.is_object() && one.value("name", json()) == "default" && one.contains("template") &&
        one["template"].is_string()) {
      return one["template"].get<std::string>();
    }
  }
  throw Error("cannot read the chat template")
      .At(path.string() + ": chat_template")
      .Expected("a text, or a list of templates of which one is named \"default\"")
      .Found(std::string(value->type_name()));
}

}  // namespace

struct ChatTemplate::Parsed {
  std::shared_ptr<minja::TemplateNode> root;
};

ChatTemplate::ChatTemplate(std::string source, Tokens tokens, std::string name)
    : source_(std::move(source)), name_(std::move(name)), tokens_(std::move(tokens)) {
  try {
    const std::string prepared = PrepareForMinja(ReplaceInvalidUtf8(source_));
    const minja::Options options{
        .trim_blocks = false, .lstrip_blocks = false, .keep_trailing_newline = true};
    parsed_ = std::make_unique<Parsed>(Parsed{minja::Parser::parse(prepared, options)});
  } catch (const std::exception& error) {
    throw Error("cannot use the chat template").At(name_).Found(WithoutPlace(error.what()));
  }
}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

std::string ChatTemplate::Render(const std::vector<ChatMessage>& messages,
                                 bool add_generation_prompt) const {
  nlohmann::ordered_json turns = nlohmann::ordered_json::array();
  for (const ChatMessage& message : messages) {
    turns.push_back({{"role", ReplaceInvalidUtf8(message.role)},
                     {"content", ReplaceInvalidUtf8(message.content)}});
  }
  std::string refusal;  // the template's own words
  try {
    const auto context = minja::Context::make(
        Value(nlohmann::ordered_json{{"messages", std::move(turns)},
                                     {"add_generation_prompt", add_generation_prompt},
                                     {"bos_token", tokens_.bos},
                                     {"eos_token", tokens_.eos},
                                     {"enable_thinking", false}}));
    AddFunctions(context.get());
    context->set("raise_exception", Callable([&refusal](const std::vector<Value>& arguments) {
                   refusal = arguments.empty() ? "no reason given" : arguments[0].to_str();
                   throw std::runtime_error(refusal);
                   return refusal;
                 }));
    int depth = 0;
    context->set("python_enter", Callable([&depth](const std::vector<Value>&) {
                   if (++depth > kMaxDepth)
                     throw std::runtime_error("macros call each other endlessly");
                   return true;
                 }));
    context->set("python_leave", Callable([&depth](const std::vector<Value>&) {
                   --depth;
                   return true;
                 }));
    return parsed_->root->render(context);
  } catch (const std::exception& error) {
    throw Error("the chat template refuses this chat")
        .At(name_)
        .Found(refusal.empty() ? WithoutPlace(error.what()) : refusal);
  }
}

RenderedChat ChatTemplate::RenderWithSpans(const std::vector<ChatMessage>& messages,
                                           bool add_generation_prompt) const {
  RenderedChat chat{Render(messages, add_generation_prompt), {}};
  chat.content_spans = FindContentSpans(
      messages, chat.text,
      [&](const std::vector<ChatMessage>& other) { return Render(other, add_generation_prompt); });
  return chat;
}

std::optional<ChatTemplate> LoadChatTemplateFromDirectory(const std::filesystem::path& directory) {
  ChatTemplate::Tokens tokens;
  std::optional<std::string> source;
  std::filesystem::path path = directory / "tokenizer_config.json";
  if (std::filesystem::exists(path)) {
    const json config = ReadJson(path);
    tokens = {TokenText(config, "bos_token"), TokenText(config, "eos_token")};
    source = TemplateText(config, path);
  }
  if (const auto file = directory / "chat_template.jinja"; std::filesystem::exists(file)) {
    path = file;
    source = ReadFile(path, kMaxFileBytes);
  }
  if (!source.has_value()) return std::nullopt;
  return ChatTemplate(*std::move(source), std::move(tokens), path.string());
}

std::optional<ChatTemplate> LoadChatTemplateFromGguf(const GgufFile& file) {
  std::optional<std::string> source = file.FindString("tokenizer.chat_template");
  if (!source.has_value()) return std::nullopt;
  ChatTemplate::Tokens tokens;
  const auto vocabulary = file.FindStrings("tokenizer.ggml.tokens");
  const auto text_of = [&](const char* key) -> std::string {
    const std::optional<int64_t> id = file.FindInt(key);
    const bool known = vocabulary.has_value() && id.has_value() && *id >= 0 &&
                       static_cast<size_t>(*id) < vocabulary->size();
    return known ? std::string((*vocabulary)[static_cast<size_t>(*id)]) : "";
  };
  tokens = {text_of("tokenizer.ggml.bos_token_id"), text_of("tokenizer.ggml.eos_token_id")};
  return ChatTemplate(*std::move(source), std::move(tokens),
                      file.name() + ": tokenizer.chat_template");
}

}  // namespace extrospect
