#include "model/command.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"
#include "model/describe.h"
#include "model/model.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;

struct InfoFlags {
  std::string model, dtype = "bf16";
  bool json = false;
};

struct TokenizeFlags {
  std::string model, text, chat;
  bool no_bos = false, parse_special = false, generation_prompt = false;
};

std::string Dump(const ordered_json& value, int indent = -1) {
  return value.dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}

// "1234567890" as "1.23 billion" is for people; the number itself is in the JSON.
std::string Scaled(double value, double step, std::initializer_list<const char*> units) {
  auto unit = units.begin();
  while (value >= step && unit + 1 != units.end()) {
    value /= step;
    ++unit;
  }
  char text[64];
  std::snprintf(text, sizeof(text), "%.4g %s", value, *unit);
  return text;
}

std::string Bytes(const ordered_json& count) {
  return Scaled(count.get<double>(), 1024, {"B", "KiB", "MiB", "GiB", "TiB"});
}

void Line(const char* name, const std::string& value) {
  std::printf("%-15s %s\n", name, value.c_str());
}

void PrintDescription(const ordered_json& d) {
  const ordered_json& attention = d["attention"];
  const auto number = [](const ordered_json& value) { return Dump(value); };
  Line("name", d["name"].get<std::string>());
  Line("architecture", d["architecture"].get<std::string>());
  Line("parameters", number(d["parameters"]) + " (" +
                         Scaled(d["parameters"].get<double>(), 1000, {"", "K", "M", "B"}) + ")");
  Line("blocks", number(d["n_layers"]));
  Line("width", number(d["d_model"]) + ", MLP " + number(d["d_ff"]));
  if (d.contains("experts")) {
    Line("experts", number(d["experts"]["n_active"]) + " of " + number(d["experts"]["n_experts"]) +
                        ", MLP " + number(d["experts"]["d_ff"]));
  }
  Line("heads", number(attention["n_heads"]) + " of " + number(attention["head_dim"]) + ", over " +
                    number(attention["n_kv_heads"]) + " key heads");
  if (attention["sliding_window"] != 0) {
    Line("windows", number(attention["sliding_window"]) + " tokens in " +
                        number(attention["blocks_with_window"]) + " blocks");
  }
  Line("context", number(d["context_length"]) + " tokens");
  const ordered_json& memory = d["memory"];
  Line("memory", Bytes(memory["weight_bytes"]) + " of weights in " +
                     memory["dtype"].get<std::string>() + ", " +
                     Bytes(memory["kv_bytes_per_token"]) + " a cached token");
  Line("tokenizer", number(d["tokenizer"]["vocab_size"]) + " tokens, sha256 " +
                        d["tokenizer"]["sha256"].get<std::string>());
  Line("chat template", d["chat_template"].is_null()
                            ? "none"
                            : "sha256 " + d["chat_template"]["sha256"].get<std::string>());
  Line("sha256", d["sha256"].get<std::string>());
  if (d["files"].size() > 1) {
    for (const ordered_json& file : d["files"]) {
      Line("", file["sha256"].get<std::string>() + "  " + file["name"].get<std::string>());
    }
  }
  Line("hooks", d["hooks"].front().get<std::string>() + ", " + d["hooks"][1].get<std::string>() +
                    " … " + d["hooks"].back().get<std::string>());
}

void Info(const InfoFlags& flags) {
  const LanguageModel model = LoadModel(flags.model, std::nullopt);
  const ordered_json description = DescribeModel(model, ParseDtype(flags.dtype));
  if (flags.json) {
    std::printf("%s\n", Dump(description, 2).c_str());
  } else {
    PrintDescription(description);
  }
}

void PrintIds(const std::vector<int32_t>& ids) { std::printf("%s\n", Dump(ids).c_str()); }

void Tokenize(const TokenizeFlags& flags) {
  const LanguageModel model = LoadModel(flags.model, std::nullopt);
  if (flags.chat.empty()) {
    std::vector<int32_t> ids = model.tokenizer->Encode(flags.text, flags.parse_special).ids;
    if (model.tokenizer->add_bos() && model.tokenizer->bos_id() && !flags.no_bos) {
      ids.insert(ids.begin(), *model.tokenizer->bos_id());
    }
    PrintIds(ids);
    return;
  }
  if (!model.chat_template) {
    throw Error("the model has no chat template")
        .At(flags.model)
        .Hint("use --text, or a model that was trained for chat");
  }
  for (const auto& chat : ReadChats(flags.chat)) {
    const std::string text = model.chat_template->Render(chat, flags.generation_prompt);
    PrintIds(model.tokenizer->Encode(text, /*parse_special=*/true).ids);
  }
}

}  // namespace

void AddModelCommand(CLI::App& app) {
  CLI::App* const command = app.add_subcommand("model", "Look at a model without running it");
  command->require_subcommand(1);

  auto info_flags = std::make_shared<InfoFlags>();
  CLI::App* const info = command->add_subcommand(
      "info", "Architecture, sizes, memory, tokenizer, chat template, hashes and hooks");
  info->add_option("--model", info_flags->model, "A .gguf file or a Hugging Face folder")
      ->required();
  info->add_option("--dtype", info_flags->dtype, "The dtype that memory is told for")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->capture_default_str();
  info->add_flag("--json", info_flags->json, "Everything, as JSON");
  info->callback([info_flags] { Info(*info_flags); });

  auto flags = std::make_shared<TokenizeFlags>();
  CLI::App* const tokenize =
      command->add_subcommand("tokenize", "Token ids as a JSON list, one list a line");
  tokenize->add_option("--model", flags->model, "A .gguf file or a Hugging Face folder")
      ->required();
  CLI::Option_group* const input = tokenize->add_option_group("input");
  input->add_option("--text", flags->text, "The text");
  input->add_option("--chat", flags->chat,
                    "A JSON or JSON Lines file of messages, rendered by the chat template");
  input->require_option(1);
  tokenize->add_flag("--no-bos", flags->no_bos,
                     "Leave out the beginning-of-text token that the model wants before a text");
  tokenize->add_flag("--parse-special", flags->parse_special,
                     "In --text, read \"<|im_end|>\" and the like as the tokens that they spell");
  tokenize->add_flag("--generation-prompt", flags->generation_prompt,
                     "End a chat with the header of the assistant's next turn");
  tokenize->callback([flags] { Tokenize(*flags); });
}

}  // namespace extrospect
