// A whole language model in a folder, as Hugging Face keeps them, small enough for tests: the
// random weights of a fixture with a tokenizer of single characters and a chat template.
#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/tokenizer_json.h"

namespace extrospect {

// Writes the folder. " ?" is a token of its own; characters outside of English text have none.
inline void WriteTinyModel(const std::filesystem::path& folder) {
  using nlohmann::json;
  const std::filesystem::path fixture = "tests/parity/fixtures/families/llama-3";
  std::filesystem::create_directories(folder);
  for (const char* const name : {"config.json", "model.safetensors"}) {
    std::filesystem::copy_file(fixture / name, folder / name,
                               std::filesystem::copy_options::overwrite_existing);
  }
  json vocabulary = json::object();
  const auto add = [&](const std::string& token) { vocabulary[token] = vocabulary.size(); };
  for (char c = 'a'; c <= 'z'; ++c) add(std::string(1, c));
  for (char c = 'A'; c <= 'Z'; ++c) add(std::string(1, c));
  for (char c = '0'; c <= '9'; ++c) add(std::string(1, c));
  for (const char c : std::string(".,?:;'-!<>/_")) add(std::string(1, c));
  const std::string space = "\u0120", newline = "\u010a", stop = "</s>";
  for (const std::string& token : {space, newline, space + "?", stop}) add(token);
  const json tokenizer = TokenizerJson(vocabulary, stop, json::array({json::array({space, "?"})}));
  std::ofstream(folder / "tokenizer.json") << tokenizer.dump();
  const json config = {{"eos_token", stop},
                       {"chat_template",
                        "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
                        "{% if add_generation_prompt %}<assistant>{% endif %}"}};
  std::ofstream(folder / "tokenizer_config.json") << config.dump();
}

}  // namespace extrospect
