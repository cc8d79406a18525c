// From the turns of a conversation to the text that a chat model was trained on.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/files/gguf.h"

namespace extrospect {

struct ChatMessage {
  std::string role;     // "system", "user", "assistant", …: whatever the template knows
  std::string content;  // bytes that are not UTF-8 are rendered as U+FFFD
};

struct RenderedChat {
  std::string text;
  // For each message the bytes [begin, end) of `text` that its content became, in the form that the
  // template gave it (often without the white space around it). Empty where the template left the
  // content out.
  std::vector<std::pair<size_t, size_t>> content_spans;
};

// A model's chat template, in Jinja. Renders as `transformers` does, without tools or documents,
// with enable_thinking off, and on 26 July 2024 whenever a template asks for the date, so that the
// same chat is the same text every day. Immutable; may be used from any number of threads at once.
class ChatTemplate {
 public:
  struct Tokens {
    std::string bos, eos;  // as the vocabulary spells them; empty if there are none
  };

  // `name` is where the text came from, for messages. Throws Error if the template does not parse,
  // or asks for what is known to bring its interpreter down (jinja_source.h). That is not a
  // sandbox: a template made to exhaust stack or memory can still do so.
  ChatTemplate(std::string source, Tokens tokens, std::string name);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  // `add_generation_prompt`: ends with the header of the assistant's next turn. Throws Error with
  // the template's own words if it refuses the chat (a role that it does not know, say, or two
  // turns of the same role in a row).
  std::string Render(const std::vector<ChatMessage>& messages, bool add_generation_prompt) const;
  RenderedChat RenderWithSpans(const std::vector<ChatMessage>& messages,
                               bool add_generation_prompt) const;

  // The template's text, as the file has it.
  const std::string& source() const { return source_; }

 private:
  struct Parsed;

  std::string source_, name_;
  Tokens tokens_;
  std::unique_ptr<Parsed> parsed_;
};

// The template of a Hugging Face directory: `chat_template.jinja`, else `tokenizer_config.json`
// (where several are named, "default"). Nothing if the model has none. Throws Error for files that
// are damaged.
std::optional<ChatTemplate> LoadChatTemplateFromDirectory(const std::filesystem::path& directory);

// The template of a GGUF file (`tokenizer.chat_template`), if it has one.
std::optional<ChatTemplate> LoadChatTemplateFromGguf(const GgufFile& file);

}  // namespace extrospect
