#include "model/config/rope_config.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

namespace extrospect {
namespace {

using Config = Hyperparameters;

std::string TypeOf(const Config& scaling) {
  if (auto type = scaling.FindText("rope_type")) return *type;
  return scaling.FindText("type").value_or("default");
}

double Factor(const Config& scaling) {
  const double factor = scaling.Number("factor");
  if (factor <= 0) throw scaling.Unsupported("factor", "a factor above 0");
  return factor;
}

// The length that training used before YaRN stretched it.
int64_t OriginalContext(const Config& scaling, const Config& config) {
  return scaling.FindSize("original_max_position_embeddings")
      .value_or(config.Size("max_position_embeddings"));
}

// How much YaRN sharpens attention: on q and k each, that is, on cos and sin.
double AttentionFactor(const Config& scaling) {
  if (const auto given = scaling.FindNumber("attention_factor")) return *given;
  const auto at = [factor = Factor(scaling)](double scale) {
    return factor <= 1 ? 1.0 : 0.1 * scale * std::log(factor) + 1.0;
  };
  const double scale = scaling.FindNumber("mscale").value_or(0.0);
  const double scale_all = scaling.FindNumber("mscale_all_dim").value_or(0.0);
  return scale != 0 && scale_all != 0 ? at(scale) / at(scale_all) : at(1.0);
}

}  // namespace

Rope ReadRope(const Config& config) {
  Rope rope;
  rope.base = config.Number("rope_theta");
  if (config.FindNumber("partial_rotary_factor").value_or(1.0) != 1.0) {
    throw config.Unsupported("partial_rotary_factor", "1");
  }
  const auto scaling = config.FindGroup("rope_scaling");
  if (!scaling) return rope;
  const std::string type = TypeOf(*scaling);
  if (type == "default" || type == "dynamic") return rope;
  if (type == "linear") {
    rope.scaling = Rope::Scaling::kLinear;
    rope.factor = Factor(*scaling);
  } else if (type == "llama3") {
    rope.scaling = Rope::Scaling::kLlama3;
    rope.factor = Factor(*scaling);
    rope.low_frequency_factor = scaling->Number("low_freq_factor");
    rope.high_frequency_factor = scaling->Number("high_freq_factor");
    rope.original_context = scaling->Size("original_max_position_embeddings");
    if (rope.low_frequency_factor <= 0 || rope.high_frequency_factor <= rope.low_frequency_factor) {
      throw scaling->Unsupported("high_freq_factor", "more than low_freq_factor, which is above 0");
    }
  } else if (type == "yarn") {
    rope.scaling = Rope::Scaling::kYarn;
    rope.factor = Factor(*scaling);
    rope.original_context = OriginalContext(*scaling, config);
    rope.beta_fast = scaling->FindNumber("beta_fast").value_or(32.0);
    rope.beta_slow = scaling->FindNumber("beta_slow").value_or(1.0);
    rope.attention_factor = AttentionFactor(*scaling);
    if (rope.beta_fast <= 0 || rope.beta_slow <= 0) {
      throw scaling->Unsupported("beta_fast", "numbers of rotations above 0");
    }
    if (!scaling->Flag("truncate", true)) throw scaling->Unsupported("truncate", "true");
  } else if (type == "divisors") {
    rope.scaling = Rope::Scaling::kDivisors;
    const auto divisors = scaling->FindNumbers("divisors").value_or(std::vector<double>());
    rope.divisors.assign(divisors.begin(), divisors.end());
  } else {
    throw scaling->Unsupported(scaling->FindText("rope_type") ? "rope_type" : "type",
                               "default, linear, llama3 or yarn");
  }
  return rope;
}

int64_t ReadContextLength(const Config& config) {
  const int64_t context = config.Size("max_position_embeddings");
  const auto scaling = config.FindGroup("rope_scaling");
  if (!scaling || TypeOf(*scaling) != "yarn") return context;
  const double stretched =
      Factor(*scaling) * static_cast<double>(OriginalContext(*scaling, config));
  return std::max(context, static_cast<int64_t>(std::min(stretched, 1e7)));
}

nlohmann::json WithOlderRopeKeys(nlohmann::json config) {
  if (!config.is_object() || !config.contains("rope_parameters")) return config;
  const nlohmann::json parameters = config["rope_parameters"];
  if (!parameters.is_object()) return config;
  const bool by_type = parameters.contains("full_attention");
  const nlohmann::json& main = by_type ? parameters["full_attention"] : parameters;
  if (main.is_object() && main.contains("rope_theta")) config["rope_theta"] = main["rope_theta"];
  config["rope_scaling"] = main;
  if (by_type && parameters.contains("sliding_attention")) {
    const nlohmann::json& local = parameters["sliding_attention"];
    if (local.is_object() && local.contains("rope_theta")) {
      config["rope_local_base_freq"] = local["rope_theta"];
    }
  }
  return config;
}

}  // namespace extrospect
