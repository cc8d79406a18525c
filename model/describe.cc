#include "model/describe.h"

#include <c10/core/ScalarType.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/bounded_json.h"
#include "base/error.h"
#include "base/file.h"
#include "model/hooks.h"

namespace extrospect {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr size_t kMaxChatBytes = 256'000'000;

int64_t BytesOf(at::ScalarType dtype) { return static_cast<int64_t>(c10::elementSize(dtype)); }

const char* NameOf(QkNorm norm) {
  switch (norm) {
    case QkNorm::kNone:
      return "none";
    case QkNorm::kPerHead:
      return "per head";
    case QkNorm::kWholeProjection:
      return "whole projection";
  }
  return "";
}

const char* NameOf(NormPlacement placement) {
  switch (placement) {
    case NormPlacement::kPre:
      return "before";
    case NormPlacement::kPost:
      return "after";
    case NormPlacement::kPreAndPost:
      return "before and after";
  }
  return "";
}

const char* NameOf(Rope::Scaling scaling) {
  switch (scaling) {
    case Rope::Scaling::kNone:
      return "none";
    case Rope::Scaling::kLinear:
      return "linear";
    case Rope::Scaling::kLlama3:
    case Rope::Scaling::kDivisors:
      return "llama3";
    case Rope::Scaling::kYarn:
      return "yarn";
  }
  return "";
}

ordered_json Attention(const Architecture& a) {
  ordered_json attention;
  attention["n_heads"] = a.n_heads;
  attention["n_kv_heads"] = a.n_kv_heads;
  attention["head_dim"] = a.head_dim;
  attention["qk_norm"] = NameOf(a.qk_norm);
  attention["bias"] = a.qkv_bias;
  attention["softcap"] = a.attention_softcap;
  int64_t window = 0, windowed = 0;
  for (const BlockKind& block : a.blocks) {
    window = std::max(window, block.window);
    windowed += block.window > 0 ? 1 : 0;
  }
  attention["sliding_window"] = window;
  attention["blocks_with_window"] = windowed;
  attention["rope"] = ordered_json::array();
  for (const Rope& rope : a.ropes) {
    attention["rope"].push_back({{"base", rope.base}, {"scaling", NameOf(rope.scaling)}});
  }
  return attention;
}

ordered_json TokenizerOf(const LanguageModel& model) {
  const Tokenizer& tokenizer = *model.tokenizer;
  const auto id = [](std::optional<int32_t> token) {
    return token ? ordered_json(*token) : ordered_json(nullptr);
  };
  ordered_json out;
  out["vocab_size"] = tokenizer.vocab_size();
  out["bos_id"] = id(tokenizer.bos_id());
  out["eos_id"] = id(tokenizer.eos_id());
  out["add_bos"] = tokenizer.add_bos();
  out["stop_ids"] = model.stop_tokens;
  out["sha256"] = tokenizer.Sha256();
  return out;
}

std::vector<ChatMessage> ChatOf(const json& value, const std::string& where) {
  const auto bad = [&](const char* found) {
    return Error("cannot read a chat")
        .At(where)
        .Expected(R"([{"role": "user", "content": "…"}, …], or {"messages": […]})")
        .Found(found);
  };
  const json* messages = &value;
  if (value.is_object()) {
    if (!value.contains("messages")) throw bad("an object without messages");
    messages = &value["messages"];
  }
  if (!messages->is_array() || messages->empty()) throw bad("no list of messages");
  std::vector<ChatMessage> chat;
  for (const json& message : *messages) {
    if (!message.is_object()) throw bad("a message that is not an object");
    const auto role = message.find("role"), content = message.find("content");
    if (role == message.end() || !role->is_string()) throw bad("a message without a role");
    if (content == message.end() || !content->is_string()) throw bad("a message without content");
    chat.push_back({role->get<std::string>(), content->get<std::string>()});
  }
  return chat;
}

}  // namespace

int64_t WeightBytes(const Architecture& a, at::ScalarType dtype) {
  return CountParameters(a) * BytesOf(dtype);
}

int64_t KeyValueBytesPerToken(const Architecture& a, at::ScalarType dtype) {
  return 2 * a.n_layers * a.kv_size() * BytesOf(dtype);
}

ordered_json DescribeModel(const LanguageModel& model, at::ScalarType dtype) {
  const Architecture& a = model.architecture;
  ordered_json out;
  out["name"] = model.name;
  out["path"] = model.path.string();
  out["architecture"] = a.family;
  out["parameters"] = CountParameters(a);
  out["n_layers"] = a.n_layers;
  out["d_model"] = a.d_model;
  out["d_ff"] = a.d_ff;
  out["vocab_size"] = a.vocab_size;
  out["context_length"] = a.context_length;
  out["tied_embeddings"] = a.tied_embeddings;
  out["norms"] = NameOf(a.norm_placement);
  out["attention"] = Attention(a);
  if (a.experts.n_experts > 0) {
    out["experts"] = {{"n_experts", a.experts.n_experts},
                      {"n_active", a.experts.n_active},
                      {"d_ff", a.experts.d_ff},
                      {"normalized", a.experts.normalize_weights}};
  }
  out["final_softcap"] = a.final_softcap;
  out["memory"] = {{"dtype", DtypeName(dtype)},
                   {"weight_bytes", WeightBytes(a, dtype)},
                   {"kv_bytes_per_token", KeyValueBytesPerToken(a, dtype)}};
  out["tokenizer"] = TokenizerOf(model);
  out["chat_template"] = nullptr;
  if (model.chat_template) {
    out["chat_template"] = {{"sha256", model.chat_template_sha256},
                            {"source", model.chat_template->source()}};
  }
  out["sha256"] = model.sha256;
  out["files"] = ordered_json::array();
  for (const ModelFile& file : model.files) {
    out["files"].push_back({{"name", file.name}, {"sha256", file.sha256}});
  }
  out["hooks"] = ordered_json::array();
  for (int64_t block = kEmbeddingBlock; block < a.n_layers; ++block) {
    out["hooks"].push_back(HookName(block));
  }
  return out;
}

std::vector<std::vector<ChatMessage>> ReadChats(const std::filesystem::path& path) {
  const std::string text = ReadFile(path, kMaxChatBytes);
  if (json::accept(text)) return {ChatOf(ParseBoundedJson(text, path.string()), path.string())};
  std::vector<std::vector<ChatMessage>> chats;
  size_t begin = 0;
  for (int64_t line = 1; begin < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view content = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    if (content.find_first_not_of(" \t\r") == content.npos) continue;
    const std::string where = path.string() + ", line " + std::to_string(line);
    chats.push_back(ChatOf(ParseBoundedJson(content, where), where));
  }
  if (chats.empty()) throw Error("cannot read a chat").At(path.string()).Found("an empty file");
  return chats;
}

}  // namespace extrospect
