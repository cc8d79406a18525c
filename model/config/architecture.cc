#include "model/config/architecture.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/bounded_json.h"
#include "base/error.h"
#include "base/file.h"
#include "model/config/families.h"
#include "model/config/gguf_config.h"
#include "model/config/rope_config.h"

namespace extrospect {
namespace {

constexpr size_t kMaxConfigBytes = 16'000'000;
constexpr double kMaxParameters = 1e15;

// A multimodal model's configuration holds that of its language model, in which older files leave
// the type out.
nlohmann::json TextPart(nlohmann::json config) {
  if (!config.is_object() || !config.contains("text_config")) return config;
  const nlohmann::json type = config.value("model_type", nlohmann::json());
  nlohmann::json text = config["text_config"];
  if (!text.is_object() || text.contains("model_type")) return text;
  if (type == "gemma3") text["model_type"] = "gemma3_text";
  if (type == "mistral3") text["model_type"] = "mistral";
  if (type == "llava") text["model_type"] = "llama";
  return text;
}

// In a type that holds the result, whatever sizes a file claims, or in one that may not.
template <typename Number>
Number Count(const Architecture& a) {
  const Number d_model = static_cast<Number>(a.d_model), q = static_cast<Number>(a.q_size()),
               kv = static_cast<Number>(a.kv_size());
  Number total = a.vocab_size * d_model * (a.tied_embeddings ? 1 : 2) + d_model;
  for (const BlockKind& block : a.blocks) {
    total += d_model * (q + 2 * kv) + q * d_model;
    if (a.qkv_bias) total += q + 2 * kv;
    total += d_model * (a.norm_placement == NormPlacement::kPreAndPost ? 4 : 2);
    if (a.qk_norm == QkNorm::kPerHead) total += 2 * a.head_dim;
    if (a.qk_norm == QkNorm::kWholeProjection) total += q + kv;
    if (a.experts.n_experts == 0 || block.dense) {
      total += 3 * d_model * a.d_ff;
    } else {
      total += (3 * static_cast<Number>(a.experts.d_ff) + 1) * a.experts.n_experts * d_model;
    }
  }
  return total;
}

}  // namespace

Architecture ArchitectureFromDirectory(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "config.json";
  return ArchitectureFromConfigText(ReadFile(path, kMaxConfigBytes), path.string());
}

Architecture ArchitectureFromConfigText(std::string_view text, const std::string& where) {
  return ArchitectureFromConfig(
      Hyperparameters(WithOlderRopeKeys(TextPart(ParseBoundedJson(text, where))), where));
}

Architecture ArchitectureFromGguf(const GgufFile& file) {
  Architecture a = ArchitectureFromConfig(ConfigFromGguf(file));
  // The converter has added the one.
  a.norm_weight_plus_one = false;
  return a;
}

void CheckArchitecture(const Architecture& a, const std::string& where) {
  const auto require = [&](bool holds, const std::string& what) {
    if (!holds) throw Error("the model's architecture makes no sense").At(where).Found(what);
  };
  const auto number = [](int64_t n) { return std::to_string(n); };
  require(a.n_layers > 0 && a.n_layers <= kMaxBlocks, number(a.n_layers) + " blocks");
  require(a.d_model > 0 && a.d_ff > 0 && a.vocab_size > 0 && a.context_length > 0,
          "a size of zero");
  require(a.n_heads > 0 && a.n_kv_heads > 0 && a.n_heads % a.n_kv_heads == 0,
          number(a.n_heads) + " heads over " + number(a.n_kv_heads) + " key heads");
  require(a.head_dim > 0 && a.head_dim % 2 == 0 && a.head_dim <= 1024,
          "heads of size " + number(a.head_dim));
  require(std::isfinite(a.norm_eps) && a.norm_eps >= 0, "a norm epsilon that is no number");
  require(std::isfinite(a.attention_scale) && a.attention_scale > 0,
          "an attention scale that is no number");
  require(a.attention_softcap >= 0 && a.final_softcap >= 0, "a soft-cap below zero");
  require(static_cast<int64_t>(a.blocks.size()) == a.n_layers, "not one kind for every block");
  for (const Rope& rope : a.ropes) {
    require(std::isfinite(rope.base) && rope.base > 0 && rope.factor > 0,
            "rotary positions with base " + std::to_string(rope.base));
    require(rope.scaling != Rope::Scaling::kYarn || rope.base > 1, "YaRN with a base of at most 1");
    if (rope.scaling == Rope::Scaling::kDivisors) {
      require(static_cast<int64_t>(rope.divisors.size()) == a.head_dim / 2,
              number(rope.divisors.size()) + " divisors of rotary frequencies");
      for (const float divisor : rope.divisors) {
        require(std::isfinite(divisor) && divisor > 0, "a divisor of rotary frequencies of zero");
      }
    }
  }
  for (const BlockKind& block : a.blocks) {
    require(
        block.rope >= 0 && block.rope < static_cast<int64_t>(a.ropes.size()) && block.window >= 0,
        "a block with unknown rotary positions");
  }
  const MixtureOfExperts& experts = a.experts;
  require(experts.n_experts >= 0 && experts.n_experts <= 65536 &&
              (experts.n_experts == 0 ||
               (experts.n_active > 0 && experts.d_ff > 0 && experts.n_active <= experts.n_experts)),
          number(experts.n_active) + " of " + number(experts.n_experts) + " experts");
  require(Count<double>(a) < kMaxParameters, "more parameters than any model has");
}

int64_t CountParameters(const Architecture& a) { return Count<int64_t>(a); }

}  // namespace extrospect
