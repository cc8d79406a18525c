#include "model/config/gguf_config.h"

#include <algorithm>
#include <string>
#include <vector>

#include "model/files/dequantize.h"
#include "model/files/quote.h"

namespace extrospect {
namespace {

using nlohmann::json;

struct ArchitectureName {
  std::string_view gguf, hugging_face;
};
constexpr ArchitectureName kArchitectures[] = {
    {"llama", "llama"},   {"qwen2", "qwen2"},        {"qwen3", "qwen3"}, {"qwen3moe", "qwen3_moe"},
    {"gemma2", "gemma2"}, {"gemma3", "gemma3_text"}, {"olmo2", "olmo2"},
};

struct KeyPair {
  const char *gguf, *hugging_face;
};
constexpr KeyPair kSizes[] = {
    {"attention.head_count_kv", "num_key_value_heads"},
    {"attention.sliding_window", "sliding_window"},
    {"expert_count", "num_experts"},
    {"expert_used_count", "num_experts_per_tok"},
    {"expert_feed_forward_length", "moe_intermediate_size"},
};
constexpr KeyPair kRequiredSizes[] = {
    {"block_count", "num_hidden_layers"},
    {"embedding_length", "hidden_size"},
    {"attention.head_count", "num_attention_heads"},
    {"feed_forward_length", "intermediate_size"},
    {"context_length", "max_position_embeddings"},
};
constexpr KeyPair kNumbers[] = {
    {"rope.freq_base", "rope_theta"},
    {"rope.freq_base_swa", "rope_local_base_freq"},
    {"attn_logit_softcapping", "attn_logit_softcapping"},
    {"final_logit_softcapping", "final_logit_softcapping"},
};
constexpr KeyPair kScalingNumbers[] = {
    {"rope.scaling.factor", "factor"},
    {"rope.scaling.attn_factor", "attention_factor"},
    {"rope.scaling.yarn_beta_fast", "beta_fast"},
    {"rope.scaling.yarn_beta_slow", "beta_slow"},
};

// Blocks of the largest models, whose attention scale files do not state although it differs.
constexpr uint64_t kGemma2Blocks27B = 46, kGemma3Blocks27B = 62;

class Metadata {
 public:
  Metadata(const GgufFile& file, std::string prefix) : file_(file), prefix_(std::move(prefix)) {}

  json Config(std::string_view type) const {
    json config;
    config["model_type"] = type;
    for (const KeyPair& pair : kRequiredSizes) {
      config[pair.hugging_face] = file_.GetUint(Key(pair.gguf));
    }
    for (const KeyPair& pair : kSizes) {
      if (const auto value = file_.FindUint(Key(pair.gguf))) config[pair.hugging_face] = *value;
    }
    for (const KeyPair& pair : kNumbers) {
      if (const auto value = file_.FindFloat(Key(pair.gguf))) config[pair.hugging_face] = *value;
    }
    config["rms_norm_eps"] = file_.GetFloat(Key("attention.layer_norm_rms_epsilon"));
    SetHeads(config);
    SetRopeScaling(config);
    SetWindowPattern(config);
    const TensorView& embedding = file_.GetTensor("token_embd.weight");
    config["vocab_size"] = embedding.shape.empty() ? 0 : embedding.shape.front();
    config["tie_word_embeddings"] = file_.FindTensor("output.weight") == nullptr;
    return config;
  }

 private:
  std::string Key(const char* name) const { return prefix_ + "." + name; }

  void SetHeads(json& config) const {
    const uint64_t heads = std::max<uint64_t>(1, file_.GetUint(Key("attention.head_count")));
    const uint64_t d_model = file_.GetUint(Key("embedding_length"));
    const uint64_t head_dim = file_.FindUint(Key("attention.key_length")).value_or(d_model / heads);
    config["head_dim"] = head_dim;
    const auto same = [&](const char* key) {
      if (file_.FindUint(Key(key)).value_or(head_dim) == head_dim) return;
      throw Error("the model needs something that is not supported")
          .At(file_.name() + ", key " + Quote(Key(key)))
          .Expected("the size of a head, " + std::to_string(head_dim));
    };
    same("rope.dimension_count");
    same("attention.value_length");
    if (!prefix_.starts_with("gemma")) return;
    const uint64_t blocks = file_.GetUint(Key("block_count"));
    const bool largest = blocks == (prefix_ == "gemma2" ? kGemma2Blocks27B : kGemma3Blocks27B);
    config["query_pre_attn_scalar"] = largest ? d_model / heads : head_dim;
    if (const auto scale = file_.FindFloat(Key("attention.scale")); scale && *scale > 0) {
      config["query_pre_attn_scalar"] = 1.0 / (*scale * *scale);
    }
  }

  void SetRopeScaling(json& config) const {
    if (const TensorView* const tensor = file_.FindTensor("rope_freqs.weight")) {
      std::vector<float> divisors(tensor->elements());
      Dequantize(tensor->type, tensor->bytes, divisors);
      config["rope_scaling"] = {{"rope_type", "divisors"}, {"divisors", divisors}};
      return;
    }
    const std::string type = file_.FindString(Key("rope.scaling.type")).value_or("none");
    if (type == "none") return;
    json scaling = {{"rope_type", type}};
    for (const KeyPair& pair : kScalingNumbers) {
      if (const auto value = file_.FindFloat(Key(pair.gguf))) scaling[pair.hugging_face] = *value;
    }
    if (const auto context = file_.FindUint(Key("rope.scaling.original_context_length"))) {
      scaling["original_max_position_embeddings"] = *context;
    }
    config["rope_scaling"] = scaling;
  }

  // Either one boolean for each block, or the period of the blocks without a window.
  void SetWindowPattern(json& config) const {
    const std::string key = Key("attention.sliding_window_pattern");
    if (!file_.Has(key)) return;
    if (file_.metadata().at(key).type != GgufType::kArray) {
      config["sliding_window_pattern"] = file_.GetUint(key);
      return;
    }
    json types = json::array();
    for (const int64_t sliding : file_.GetInts(key)) {
      types.push_back(sliding != 0 ? "sliding_attention" : "full_attention");
    }
    config["layer_types"] = types;
  }

  const GgufFile& file_;
  std::string prefix_;
};

}  // namespace

Hyperparameters ConfigFromGguf(const GgufFile& file) {
  const std::string name = file.GetString("general.architecture");
  std::string known;
  for (const ArchitectureName& architecture : kArchitectures) {
    known += (known.empty() ? "" : ", ") + std::string(architecture.gguf);
    if (name != architecture.gguf) continue;
    json config = Metadata(file, name).Config(architecture.hugging_face);
    // One architecture of GGUF stands for two families, of which one has windows.
    const bool windows = config.contains("sliding_window");
    if (name == "llama" && windows) config["model_type"] = "mistral";
    if (name == "olmo2" && windows) config["model_type"] = "olmo3";
    // Every released model has its weights normalised; files do not say.
    if (name == "qwen3moe") config["norm_topk_prob"] = true;
    if (name == "llama" && config.contains("num_experts")) {
      throw Error("the model needs something that is not supported")
          .At(file.name() + ", key \"llama.expert_count\"")
          .Expected("a model without experts");
    }
    return Hyperparameters(std::move(config), file.name());
  }
  throw Error("the model's family is not supported")
      .At(file.name() + ", general.architecture")
      .Expected(known)
      .Found(Quote(name));
}

}  // namespace extrospect
