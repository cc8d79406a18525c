#include "model/config/families.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "model/config/rope_config.h"

namespace extrospect {
namespace {

using Config = Hyperparameters;

// Sets the sliding window of every block: as "layer_types" says where the configuration has it, and
// otherwise where `slides` (of the block's number) is true.
template <typename Slides>
void SetWindows(const Config& config, Architecture& a, Slides slides) {
  const auto window = config.FindSize("sliding_window");
  const auto types = config.FindTexts("layer_types");
  if (types && static_cast<int64_t>(types->size()) != a.n_layers) {
    throw Error("the model's configuration makes no sense")
        .At(config.where() + ", layer_types")
        .Expected(std::to_string(a.n_layers) + " entries")
        .Found(std::to_string(types->size()));
  }
  for (int64_t block = 0; block < a.n_layers; ++block) {
    bool sliding = slides(block);
    if (types) {
      const std::string& type = (*types)[block];
      sliding = type == "sliding_attention";
      if (!sliding && type != "full_attention") {
        throw config.Unsupported("layer_types", "sliding_attention or full_attention");
      }
    }
    if (sliding && window) a.blocks[block].window = *window;
  }
}

// Sliding blocks rotate by an embedding of their own.
void SetLocalRope(Architecture& a, Rope local) {
  a.ropes.push_back(std::move(local));
  for (BlockKind& block : a.blocks) block.rope = block.window > 0 ? 1 : 0;
}

void Llama(const Config&, Architecture&) {}

void Mistral(const Config& config, Architecture& a) {
  SetWindows(config, a, [](int64_t) { return true; });
}

// Windows, if they are switched on at all, in the blocks from max_window_layers on.
void QwenWindows(const Config& config, Architecture& a) {
  if (!config.Flag("use_sliding_window", false)) return;
  const double first = config.FindNumber("max_window_layers").value_or(0);
  SetWindows(config, a, [first](int64_t block) { return static_cast<double>(block) >= first; });
}

void Qwen2(const Config& config, Architecture& a) {
  a.qkv_bias = true;
  QwenWindows(config, a);
}

void Qwen3(const Config& config, Architecture& a) {
  a.qk_norm = QkNorm::kPerHead;
  QwenWindows(config, a);
}

void Qwen3Moe(const Config& config, Architecture& a) {
  a.qk_norm = QkNorm::kPerHead;
  if (config.Flag("use_sliding_window", false)) Mistral(config, a);
  a.experts.n_experts = config.Size("num_experts");
  a.experts.n_active = config.Size("num_experts_per_tok");
  a.experts.d_ff = config.Size("moe_intermediate_size");
  a.experts.normalize_weights = config.Flag("norm_topk_prob", false);
  const int64_t step = config.Size("decoder_sparse_step");
  const auto plain = config.FindNumbers("mlp_only_layers").value_or(std::vector<double>());
  for (int64_t block = 0; block < a.n_layers; ++block) {
    a.blocks[block].dense =
        (block + 1) % step != 0 ||
        std::find(plain.begin(), plain.end(), static_cast<double>(block)) != plain.end();
  }
}

void Gemma(const Config& config, Architecture& a) {
  a.norm_placement = NormPlacement::kPreAndPost;
  a.norm_weight_plus_one = true;
  a.embedding_scale = std::sqrt(static_cast<double>(a.d_model));
  a.attention_scale = 1.0 / std::sqrt(config.Number("query_pre_attn_scalar"));
  a.attention_softcap = config.FindNumber("attn_logit_softcapping").value_or(0.0);
  a.final_softcap = config.FindNumber("final_logit_softcapping").value_or(0.0);
}

void Gemma2(const Config& config, Architecture& a) {
  Gemma(config, a);
  SetWindows(config, a, [](int64_t block) { return block % 2 == 0; });
}

void Gemma3(const Config& config, Architecture& a) {
  Gemma(config, a);
  a.qk_norm = QkNorm::kPerHead;
  const int64_t period = config.Size("sliding_window_pattern");
  SetWindows(config, a, [period](int64_t block) { return (block + 1) % period != 0; });
  Rope local;
  local.base = config.Number("rope_local_base_freq");
  SetLocalRope(a, local);
  if (config.Flag("use_bidirectional_attention", false)) {
    throw config.Unsupported("use_bidirectional_attention", "false");
  }
}

void Olmo2(const Config&, Architecture& a) {
  a.norm_placement = NormPlacement::kPost;
  a.qk_norm = QkNorm::kWholeProjection;
}

void Olmo3(const Config& config, Architecture& a) {
  Olmo2(config, a);
  SetWindows(config, a, [](int64_t block) { return (block + 1) % 4 != 0; });
  Rope local;  // not scaled
  local.base = a.ropes[0].base;
  SetLocalRope(a, local);
}

struct Family {
  std::string_view name;
  std::string_view model_type;  // in config.json
  // What Hugging Face's configuration classes assume where a file is silent. Sizes that every
  // released file states are left out, so that their absence is an error.
  const char* defaults;
  void (*describe)(const Config&, Architecture&);
};

constexpr Family kFamilies[] = {
    {"llama", "llama", R"({"rms_norm_eps": 1e-6, "max_position_embeddings": 2048})", Llama},
    {"mistral", "mistral",
     R"({"num_key_value_heads": 8, "max_position_embeddings": 131072, "sliding_window": 4096})",
     Mistral},
    {"qwen2", "qwen2", R"({"sliding_window": 4096, "max_window_layers": 28})", Qwen2},
    {"qwen3", "qwen3", R"({"head_dim": 128, "sliding_window": 4096, "max_window_layers": 28})",
     Qwen3},
    {"qwen3_moe", "qwen3_moe",
     R"({"num_key_value_heads": 4, "sliding_window": 4096, "decoder_sparse_step": 1,
         "num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768})",
     Qwen3Moe},
    {"gemma2", "gemma2",
     R"({"hidden_act": "gelu_pytorch_tanh", "tie_word_embeddings": true, "vocab_size": 256000,
         "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
         "max_position_embeddings": 8192, "query_pre_attn_scalar": 256, "sliding_window": 4096,
         "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0})",
     Gemma2},
    {"gemma3", "gemma3_text",
     R"({"hidden_act": "gelu_pytorch_tanh", "tie_word_embeddings": true, "vocab_size": 262208,
         "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
         "max_position_embeddings": 131072, "query_pre_attn_scalar": 256, "sliding_window": 4096,
         "sliding_window_pattern": 6, "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0})",
     Gemma3},
    {"olmo2", "olmo2", R"({"rms_norm_eps": 1e-5})", Olmo2},
    {"olmo3", "olmo3", R"({"rms_norm_eps": 1e-5, "sliding_window": 4096})", Olmo3},
};

constexpr char kCommonDefaults[] =
    R"({"hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
        "max_position_embeddings": 32768})";

const Family& FindFamily(const Config& config) {
  const std::string type = config.FindText("model_type").value_or("");
  for (const Family& family : kFamilies) {
    if (type == family.model_type) return family;
  }
  std::string known;
  for (const Family& family : kFamilies) {
    known += (known.empty() ? "" : ", ") + std::string(family.model_type);
  }
  throw config.Unsupported("model_type", "one of " + known);
}

Activation ReadActivation(const Config& config) {
  const char* const key = config.FindText("hidden_activation") ? "hidden_activation" : "hidden_act";
  const std::string name = config.FindText(key).value_or("");
  if (name == "silu" || name == "swish") return Activation::kSilu;
  if (name == "gelu_pytorch_tanh") return Activation::kGeluTanh;
  throw config.Unsupported(key, "silu or gelu_pytorch_tanh");
}

}  // namespace

Architecture ArchitectureFromConfig(Hyperparameters config) {
  const Family& family = FindFamily(config);
  config.AddDefaults(nlohmann::json::parse(family.defaults));
  config.AddDefaults(nlohmann::json::parse(kCommonDefaults));
  for (const char* const key : {"attention_bias", "mlp_bias"}) {
    if (config.Flag(key, false)) throw config.Unsupported(key, "false");
  }
  Architecture a;
  a.family = family.name;
  a.n_layers = config.Size("num_hidden_layers");
  a.d_model = config.Size("hidden_size");
  a.n_heads = config.Size("num_attention_heads");
  a.n_kv_heads = config.FindSize("num_key_value_heads").value_or(a.n_heads);
  a.head_dim = config.FindSize("head_dim").value_or(a.d_model / a.n_heads);
  a.d_ff = config.Size("intermediate_size");
  a.vocab_size = config.Size("vocab_size");
  a.norm_eps = config.Number("rms_norm_eps");
  a.activation = ReadActivation(config);
  a.tied_embeddings = config.Flag("tie_word_embeddings", false);
  a.attention_scale = 1.0 / std::sqrt(static_cast<double>(a.head_dim));
  a.ropes = {ReadRope(config)};
  a.context_length = ReadContextLength(config);
  if (a.n_layers > kMaxBlocks) throw config.Unsupported("num_hidden_layers", "fewer blocks");
  a.blocks.assign(a.n_layers, BlockKind{});
  family.describe(config, a);
  CheckArchitecture(a, config.where());
  return a;
}

}  // namespace extrospect
