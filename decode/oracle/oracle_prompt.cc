#include "decode/oracle/oracle_prompt.h"

#include <algorithm>

#include "base/error.h"
#include "model/hooks.h"

namespace extrospect {
namespace {

// The whole text up to the answer. A model without a chat template is asked in plain text.
std::string RenderQuestion(const LanguageModel& model, const std::string& content) {
  if (model.chat_template) {
    return model.chat_template->Render({{"user", content}}, /*add_generation_prompt=*/true);
  }
  return content + "\nAnswer:";
}

std::vector<int32_t> Tokens(const LanguageModel& model, const std::string& text) {
  return model.chat_template ? model.tokenizer->Encode(text, /*parse_special=*/true).ids
                             : model.tokenizer->EncodePlain(text);
}

Error NotATokenOfItsOwn(const std::string& placeholder) {
  return Error("the placeholder for activations is not a token of its own in this model's prompt")
      .At("placeholder '" + placeholder + "'")
      .Expected("a text that the tokenizer keeps as a single token")
      .Hint("--set prompt.placeholder chooses another");
}

}  // namespace

int32_t PlaceholderId(const LanguageModel& model, const std::string& placeholder) {
  const auto found = model.tokenizer->FindToken(placeholder);
  if (!found) throw NotATokenOfItsOwn(placeholder);
  return *found;
}

OraclePrompt MakeOraclePrompt(const LanguageModel& model, const OraclePromptFormat& format,
                              const std::string& question, const std::string& answer) {
  const std::string layers = "Layer: " + format.layers + "\n";
  std::string content = layers;
  for (int64_t i = 0; i < format.n_vectors; ++i) content += format.placeholder;
  content += "\n" + question;
  const std::string asked = RenderQuestion(model, content);
  const std::vector<int32_t> before = Tokens(model, asked);
  // Without a template the answer is a continuation, before which there is a space.
  const std::string joint = model.chat_template || answer.empty() ? answer : " " + answer;
  const std::vector<int32_t> all = Tokens(model, asked + joint);
  const int32_t placeholder = PlaceholderId(model, format.placeholder);
  const auto run = std::search_n(before.begin(), before.end(), format.n_vectors, placeholder);
  if (run == before.end()) throw NotATokenOfItsOwn(format.placeholder);
  const std::vector<int32_t> around = Tokens(model, RenderQuestion(model, layers + "\n"));
  if (std::find(around.begin(), around.end(), placeholder) != around.end()) {
    throw Error("the placeholder for activations also occurs in the prompt around it")
        .At("placeholder '" + format.placeholder + "'")
        .Hint("--set prompt.placeholder chooses another");
  }
  const auto limit = static_cast<size_t>(model.architecture.context_length);
  if (all.size() > limit) {
    throw UsageError("a question is longer than the model's context")
        .Expected("at most " + std::to_string(limit) + " tokens with its prompt")
        .Found(std::to_string(all.size()) + " tokens");
  }
  if (all.size() < before.size() || !std::equal(before.begin(), before.end(), all.begin())) {
    throw Error("an answer's tokens cannot be told from those of the prompt").At(answer);
  }
  return {{before.begin(), run},
          {run, before.end()},
          {all.begin() + static_cast<ptrdiff_t>(before.size()), all.end()}};
}

std::string LayersText(const std::vector<std::string>& hooks) {
  std::string text;
  for (const std::string& hook : hooks) {
    text += (text.empty() ? "" : ", ") + std::to_string(ParseHookName(hook));
  }
  return text;
}

std::string FeelsQuestion(const std::string& holder) {
  return holder.empty() ? "What is felt here?" : "What does the " + holder + " feel?";
}

std::string FeelsOpening(const std::string& holder) {
  return holder.empty() ? "Someone feels" : "The " + holder + " feels";
}

std::vector<std::string> SpokenWords(const Lexicon& lexicon) {
  std::vector<std::string> words;
  for (const Emotion& emotion : lexicon.emotions()) {
    words.push_back(emotion.word == kNothing ? "nothing" : emotion.word);
  }
  return words;
}

}  // namespace extrospect
