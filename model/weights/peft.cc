#include "model/weights/peft.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/bounded_json.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "model/files/quote.h"
#include "model/weights/weight_file.h"

namespace extrospect {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr char kConfigName[] = "adapter_config.json";
constexpr char kWeightsName[] = "adapter_model.safetensors";
constexpr size_t kMaxConfigBytes = size_t{1} << 20;
constexpr int64_t kMaxRank = 1 << 16;

// The options of `peft` that change what an adapter computes, with the values that plain LoRA has.
const json& PlainLora() {
  static const json kPlain = {{"peft_type", "LORA"},
                              {"use_dora", false},
                              {"use_bdlora", nullptr},
                              {"use_qalora", false},
                              {"bias", "none"},
                              {"fan_in_fan_out", false},
                              {"modules_to_save", nullptr},
                              {"rank_pattern", json::object()},
                              {"alpha_pattern", json::object()},
                              {"alora_invocation_tokens", nullptr},
                              {"arrow_config", nullptr},
                              {"exclude_modules", nullptr},
                              {"kasa_config", nullptr},
                              {"layer_replication", nullptr},
                              {"lora_bias", false},
                              {"monteclora_config", nullptr},
                              {"target_parameters", nullptr},
                              {"trainable_token_indices", nullptr}};
  return kPlain;
}

// Initialisations, where they are named, that leave the base model's weights as they are. Others
// (PiSSA, OLoRA, LoftQ, …) take from them what the adapter begins with.
constexpr std::array kPlainInitialisations = {"gaussian", "orthogonal", "eva"};

bool IsAbsent(const json& value) {
  return value.is_null() || (value.is_structured() && value.empty());
}

double Number(const json& config, const char* key, const std::string& where) {
  const auto found = config.find(key);
  if (found == config.end() || !found->is_number() || !std::isfinite(found->get<double>()) ||
      found->get<double>() <= 0) {
    throw Error("a field of the adapter's configuration is wrong")
        .At(where + ", " + key)
        .Expected("a positive number")
        .Found(found == config.end() ? "nothing" : found->dump().substr(0, 80));
  }
  return found->get<double>();
}

// Rank and alpha; alpha such that alpha / rank is the scale.
Adapter ReadConfig(const json& config, const std::filesystem::path& path) {
  for (const auto& [key, plain] : PlainLora().items()) {
    const auto found = config.find(key);
    if (found == config.end() || *found == plain || found->is_null()) continue;
    if (IsAbsent(*found) && IsAbsent(plain)) continue;
    throw Error("only plain LoRA adapters can be loaded")
        .At(path.string() + ", " + key)
        .Expected(plain.dump())
        .Found(found->dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 80));
  }
  const auto begun = config.find("init_lora_weights");
  if (begun != config.end() && begun->is_string() &&
      std::find(kPlainInitialisations.begin(), kPlainInitialisations.end(),
                begun->get_ref<const std::string&>()) == kPlainInitialisations.end()) {
    throw Error("the adapter belongs to a base model that its initialisation changed")
        .At(path.string() + ", init_lora_weights")
        .Found(Quote(begun->get_ref<const std::string&>()))
        .Hint("peft's save_pretrained converts it: path_initial_model_for_weight_conversion");
  }
  Adapter adapter;
  const double rank = Number(config, "r", path.string());
  if (rank != std::floor(rank) || rank > static_cast<double>(kMaxRank)) {
    throw Error("a field of the adapter's configuration is wrong")
        .At(path.string() + ", r")
        .Expected("an integer from 1 to " + std::to_string(kMaxRank));
  }
  adapter.rank = static_cast<int64_t>(rank);
  adapter.alpha = Number(config, "lora_alpha", path.string());
  // Rank-stabilised LoRA divides by the root of the rank.
  const auto stabilised = config.find("use_rslora");
  if (stabilised != config.end() && !stabilised->is_null()) {
    if (!stabilised->is_boolean()) {
      throw Error("a field of the adapter's configuration is wrong")
          .At(path.string() + ", use_rslora")
          .Expected("true or false");
    }
    if (stabilised->get<bool>()) adapter.alpha *= std::sqrt(rank);
  }
  return adapter;
}

// The module that a target of a block is, by its name in peft.
std::string ModuleName(int64_t block, Target target) {
  const std::string name = PeftTensorName(block, target, 'A');
  constexpr std::string_view kBefore = "base_model.model.", kAfter = ".lora_A.weight";
  return name.substr(kBefore.size(), name.size() - kBefore.size() - kAfter.size());
}

// Whether peft would apply an adapter to the module. Patterns are taken at their word.
bool IsTargeted(const json& targets, const std::string& module) {
  if (!targets.is_array()) return true;
  return std::any_of(targets.begin(), targets.end(), [&](const json& target) {
    const auto& name = target.get_ref<const std::string&>();
    return module == name || module.ends_with("." + name);
  });
}

// Tensors outside of what the configuration names would be left out by peft.
void CheckPlaces(const json& config, const std::string& where, const Adapter& adapter) {
  const json targets = config.value("target_modules", json());
  const bool texts = targets.is_array() && std::all_of(targets.begin(), targets.end(),
                                                       [](auto& t) { return t.is_string(); });
  if (!targets.is_null() && !targets.is_string() && !texts) {
    throw Error("a field of the adapter's configuration is wrong")
        .At(where + ", target_modules")
        .Expected("a list of texts, or a pattern");
  }
  json layers = config.value("layers_to_transform", json());
  if (layers.is_number_integer()) layers = json::array({layers});
  const bool numbers = layers.is_array() && std::all_of(layers.begin(), layers.end(), [](auto& l) {
                         return l.is_number_integer();
                       });
  if (!layers.is_null() && !numbers) {
    throw Error("a field of the adapter's configuration is wrong")
        .At(where + ", layers_to_transform")
        .Expected("block numbers");
  }
  for (size_t block = 0; block < adapter.blocks.size(); ++block) {
    for (size_t i = 0; i < kTargets; ++i) {
      const auto target = static_cast<Target>(i);
      if (!adapter.blocks[block].of(target).a.defined()) continue;
      const std::string module = ModuleName(static_cast<int64_t>(block), target);
      const bool here =
          layers.empty() || std::find(layers.begin(), layers.end(), block) != layers.end();
      if (here && IsTargeted(targets, module)) continue;
      throw Error("the adapter has weights where its configuration has no adapter")
          .At(where + (here ? ", target_modules" : ", layers_to_transform"))
          .Expected(module + " among them")
          .Hint("peft would leave them out: mend the configuration, or take the weights out");
    }
  }
}

}  // namespace

std::string PeftTensorName(int64_t block, Target target, char letter) {
  const bool attention =
      target == Target::kQ || target == Target::kK || target == Target::kV || target == Target::kO;
  return "base_model.model.model.layers." + std::to_string(block) +
         (attention ? ".self_attn." : ".mlp.") + TargetName(target) + ".lora_" + letter + ".weight";
}

std::string PeftSha256(const std::filesystem::path& folder) {
  return Sha256Hex(Sha256HexOfFile(folder / kConfigName) + Sha256HexOfFile(folder / kWeightsName));
}

void SavePeft(const std::filesystem::path& folder, const Adapter& adapter,
              const std::string& base_model, double dropout) {
  MakeFolder(folder);
  std::map<std::string, at::Tensor> tensors;
  ordered_json targets = ordered_json::array(), layers = ordered_json::array();
  for (size_t i = 0; i < kTargets; ++i) {
    if (adapter.Has(static_cast<Target>(i))) targets.push_back(TargetName(static_cast<Target>(i)));
  }
  for (size_t block = 0; block < adapter.blocks.size(); ++block) {
    bool any = false;
    for (size_t i = 0; i < kTargets; ++i) {
      const auto target = static_cast<Target>(i);
      const LowRank& low_rank = adapter.blocks[block].of(target);
      if (!low_rank.a.defined()) continue;
      any = true;
      const auto index = static_cast<int64_t>(block);
      tensors[PeftTensorName(index, target, 'A')] = low_rank.a;
      tensors[PeftTensorName(index, target, 'B')] = low_rank.b;
    }
    if (any) layers.push_back(block);
  }
  SaveTensors(folder / kWeightsName, tensors, {{"format", "pt"}});
  const ordered_json config = {
      {"peft_type", "LORA"},
      {"task_type", "CAUSAL_LM"},
      {"base_model_name_or_path", base_model},
      {"r", adapter.rank},
      {"lora_alpha", adapter.alpha},
      {"lora_dropout", dropout},
      {"target_modules", targets},
      {"layers_to_transform",
       layers.size() == adapter.blocks.size() ? ordered_json(nullptr) : layers},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"use_rslora", false},
      {"use_dora", false},
      {"inference_mode", true}};
  WriteFileAtomically(folder / kConfigName, config.dump(2) + "\n");
}

Adapter LoadPeft(const std::filesystem::path& folder, const Architecture& architecture,
                 const std::vector<at::Device>& devices) {
  const std::filesystem::path path = folder / kConfigName;
  const json config = ParseBoundedJson(ReadFile(path, kMaxConfigBytes), path.string());
  if (!config.is_object()) throw Error("an adapter's configuration is an object").At(path.string());
  Adapter adapter = ReadConfig(config, path);
  const SafetensorsFile file(folder / kWeightsName);
  size_t used = 0;
  adapter.blocks.resize(static_cast<size_t>(architecture.n_layers));
  for (int64_t block = 0; block < architecture.n_layers; ++block) {
    for (size_t i = 0; i < kTargets; ++i) {
      const auto target = static_cast<Target>(i);
      const std::string a = PeftTensorName(block, target, 'A');
      const std::string b = PeftTensorName(block, target, 'B');
      if (!file.entries().contains(a) && !file.entries().contains(b)) continue;
      const auto [out, in] = TargetShape(architecture, block, target);
      const at::Device device = devices[static_cast<size_t>(block)];
      adapter.blocks[static_cast<size_t>(block)].of(target) = {
          LoadTensor(file, a, {adapter.rank, in}, device),
          LoadTensor(file, b, {out, adapter.rank}, device)};
      used += 2;
    }
  }
  if (used != file.entries().size()) {
    std::string unknown;
    for (const auto& [name, entry] : file.entries()) {
      bool known = false;
      for (int64_t block = 0; block < architecture.n_layers && !known; ++block) {
        for (size_t i = 0; i < kTargets; ++i) {
          const auto target = static_cast<Target>(i);
          known = known || name == PeftTensorName(block, target, 'A') ||
                  name == PeftTensorName(block, target, 'B');
        }
      }
      if (!known) {
        unknown = name;
        break;
      }
    }
    throw Error("an adapter holds a tensor that the model has no place for")
        .At(file.name())
        .Expected("tensors such as " + PeftTensorName(0, Target::kQ, 'A'))
        .Found(Quote(unknown));
  }
  if (used == 0) throw Error("an adapter without tensors").At(file.name());
  CheckPlaces(config, path.string(), adapter);
  return adapter;
}

}  // namespace extrospect
