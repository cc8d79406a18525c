#include "decode/oracle/oracle_folder.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/error.h"
#include "decode/oracle/oracle_prompt.h"
#include "model/hooks.h"
#include "model/weights/peft.h"
#include "model/weights/weight_file.h"

namespace extrospect {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::array<const char*, 4> kKinds = {"oracle", "vector", "affine", "selfie"};
constexpr char kPeftFolder[] = "peft";
// What MakeOraclePrompt and FeelsOpening do, for readers of decoder.json.
constexpr const char* kPromptTemplate = "Layer: {layers}\\n{placeholders}\\n{question}";
constexpr const char* kAnswerTemplate = "The {holder} feels {word}";
constexpr int64_t kMaxTokens = 4096;  // of an answer
constexpr size_t kMaxText = 1 << 16;
constexpr int64_t kMaxSharpness = 64;  // vectors of words

std::vector<at::Device> BlockDevices(const LanguageModel& model) {
  std::vector<at::Device> devices;
  for (const BlockWeights& block : model.transformer->weights().blocks) {
    devices.push_back(block.device);
  }
  return devices;
}

Error WrongField(const std::string& where, const std::string& field, const std::string& expected) {
  return Error("a field of the decoder is wrong").At(where + ", " + field).Expected(expected);
}

std::string VectorName(const char* place, int64_t block) {
  return "vector." + std::string(place) + "." + std::to_string(block);
}

OracleInput LoadInput(const SafetensorsFile& tensors, const DecoderInfo& info, at::Device device) {
  const auto hooks = static_cast<int64_t>(info.hooks.size());
  const int64_t classes = info.lexicon.size();
  OracleInput input;
  const auto load = [&](const char* name, at::Tensor& tensor, const std::vector<int64_t>& shape) {
    const std::string full = std::string("input.") + name;
    if (tensors.entries().contains(full)) tensor = LoadTensor(tensors, full, shape, device);
  };
  input.mean = LoadTensor(tensors, "input.mean", {hooks, info.d_model}, device);
  load("map", input.map, {hooks, info.d_model, info.d_model});
  load("keys", input.keys, {classes, hooks * info.d_model});
  load("key_bias", input.key_bias, {classes});
  load("codes", input.codes, {classes, info.d_model});
  const auto sharpness = tensors.entries().find("input.sharpness");
  if (sharpness != tensors.entries().end()) {
    const std::vector<int64_t>& shape = sharpness->second.shape;
    load("sharpness", input.sharpness,
         {shape.empty() ? 1 : std::min(shape.front(), kMaxSharpness)});
    load("left_out", input.left_out, {input.sharpness.size(0), classes});
    if (input.left_out.defined() && (input.left_out > 0).all(1).any().item<bool>()) {
      throw Error("a vector leaves out every word").At(tensors.name()).Found("input.left_out");
    }
  }
  load("scale", input.scale, {hooks});
  load("bias", input.bias, {hooks, info.d_model});
  if (input.scale.defined() != input.bias.defined() ||
      input.keys.defined() != input.key_bias.defined() ||
      input.keys.defined() != input.codes.defined() ||
      input.keys.defined() != input.sharpness.defined()) {
    throw Error("tensors of the decoder's input are missing")
        .At(tensors.name())
        .Expected(
            "input.keys, .key_bias, .codes and .sharpness together, input.scale and .bias too");
  }
  return input;
}

NamingReading LoadNaming(const SafetensorsFile& tensors, const DecoderInfo& info,
                         at::Device device) {
  const int64_t classes = info.lexicon.size();
  const int64_t features = static_cast<int64_t>(info.hooks.size()) * info.d_model;
  NamingReading naming;
  if (!tensors.entries().contains("naming.weight")) return naming;
  naming.weight = LoadTensor(tensors, "naming.weight", {classes, features}, device);
  naming.bias = LoadTensor(tensors, "naming.bias", {classes}, device);
  if (tensors.entries().contains("naming.calm")) {
    naming.calm = LoadTensor(tensors, "naming.calm", {classes}, device);
  }
  return naming;
}

Adapter LoadVectors(const SafetensorsFile& tensors, const DecoderInfo& info,
                    const std::vector<at::Device>& devices) {
  Adapter adapter;
  adapter.blocks.resize(static_cast<size_t>(info.n_layers));
  for (int64_t block = 0; block < info.n_layers; ++block) {
    BlockAdapter& to = adapter.blocks[static_cast<size_t>(block)];
    const at::Device own = devices[static_cast<size_t>(block)];
    to.attention_vector = LoadTensor(tensors, VectorName("attention", block), {info.d_model}, own);
    to.mlp_vector = LoadTensor(tensors, VectorName("mlp", block), {info.d_model}, own);
  }
  return adapter;
}

}  // namespace

bool IsOracleKind(const std::string& kind) {
  return std::find(kKinds.begin(), kKinds.end(), kind) != kKinds.end();
}

OracleSpec ParseOracleSpec(const DecoderFile& file, const std::string& where) {
  const json& body = file.body;
  const std::string& kind = file.info.kind;
  const auto text = [&](const char* name) {
    const auto found = body.find(name);
    if (found == body.end() || !found->is_string() ||
        found->get_ref<const std::string&>().size() > kMaxText) {
      throw WrongField(where, kind + "." + name, "a text");
    }
    return found->get<std::string>();
  };
  // Of the kind's object, or of one in it, whose name and a dot stand in `prefix`.
  const auto number = [&](const json& object, const std::string& prefix, const char* name,
                          double min, double max) {
    const auto found = object.find(name);
    if (found == object.end() || !found->is_number() || !(found->get<double>() >= min) ||
        !(found->get<double>() <= max)) {
      throw WrongField(where, kind + "." + prefix + name,
                       "a number from " + json(min).dump() + " to " + json(max).dump());
    }
    return found->get<double>();
  };
  const auto integer = [&](const json& object, const std::string& prefix, const char* name,
                           int64_t min, int64_t max) {
    const auto found = object.find(name);
    if (found == object.end() || !found->is_number_integer() || *found < min || *found > max) {
      throw WrongField(where, kind + "." + prefix + name,
                       "a whole number from " + std::to_string(min) + " to " + std::to_string(max));
    }
    return found->get<int64_t>();
  };
  const auto injection = body.find("injection");
  if (injection == body.end() || !injection->is_object()) {
    throw WrongField(where, kind + ".injection", "an object");
  }
  OracleSpec spec;
  spec.site.block =
      integer(*injection, "injection.", "block", kEmbeddingBlock, file.info.n_layers - 1);
  const auto rule = injection->find("rule");
  if (rule == injection->end() || !rule->is_string()) {
    throw WrongField(where, kind + ".injection.rule", kInjectionRules);
  }
  try {
    spec.site.rule = ParseInjectionRule(rule->get<std::string>());
  } catch (const Error&) {
    throw WrongField(where, kind + ".injection.rule", kInjectionRules);
  }
  spec.site.coefficient = number(*injection, "injection.", "coefficient", -1e6, 1e6);
  spec.placeholder = text("placeholder");
  spec.question = text("question");
  spec.tails = integer(body, "", "tails", -1, 1000000);
  spec.max_answer_tokens = integer(body, "", "max_answer_tokens", 1, kMaxTokens);
  const auto minus_prior = body.find("minus_prior");  // not in every file
  if (minus_prior != body.end()) {
    if (!minus_prior->is_boolean()) throw WrongField(where, kind + ".minus_prior", "true or false");
    spec.minus_prior = minus_prior->get<bool>();
  }
  if (body.contains("reading_share")) {  // nor is this
    spec.reading_share = number(body, "", "reading_share", 0, 1);
  }
  return spec;
}

OracleWeights LoadOracleWeights(const DecoderFile& file, const OracleSpec& spec,
                                const std::filesystem::path& folder, const LanguageModel& model) {
  const DecoderInfo& info = file.info;
  const SafetensorsFile tensors(folder / "weights.safetensors");
  const std::vector<at::Device> devices = BlockDevices(model);
  OracleWeights weights;
  weights.input = LoadInput(tensors, info, devices.front());
  weights.naming = LoadNaming(tensors, info, devices.front());
  if (spec.reading_share > 0 && !weights.naming.defined()) {
    throw Error("the decoder's naming reading is missing")
        .At(tensors.name())
        .Expected("naming.weight, as decoder.json has a reading_share above 0")
        .Hint("train it again");
  }
  if (info.kind == "oracle") {
    const auto named = file.body.find("peft_sha256");  // not in every file
    const std::string found = PeftSha256(folder / kPeftFolder);
    if (named != file.body.end() && *named != found) {
      throw Error("the decoder's adapter is another than decoder.json names")
          .At((folder / kPeftFolder).string())
          .Expected("sha256 " + named->dump())
          .Found("sha256 " + found)
          .Hint(
              "if it was exchanged on purpose, write this hash into decoder.json: "
              "oracle.peft_sha256");
    }
    weights.adapter = LoadPeft(folder / kPeftFolder, model.architecture, devices);
  }
  if (info.kind == "vector") weights.adapter = LoadVectors(tensors, info, devices);
  // What the file says of the prompt has to be what is done.
  const auto agrees = [&](const char* name, const json& expected) {
    const auto found = file.body.find(name);
    if (found == file.body.end() || *found == expected) return;
    throw WrongField((folder / "decoder.json").string(), info.kind + "." + name, expected.dump());
  };
  agrees("prompt_template", kPromptTemplate);
  agrees("answer", kAnswerTemplate);
  agrees("layers", LayersText(info.hooks));
  agrees("placeholder_id", PlaceholderId(model, spec.placeholder));
  agrees("n_vectors", weights.input.n_vectors());
  return weights;
}

ordered_json SaveOracle(const std::filesystem::path& folder, const DecoderInfo& info,
                        const LanguageModel& model, const OracleSpec& spec,
                        const OracleWeights& weights, double dropout) {
  std::map<std::string, at::Tensor> tensors = weights.input.Named();
  tensors.merge(weights.naming.Named());
  for (size_t block = 0; block < weights.adapter.blocks.size(); ++block) {
    const BlockAdapter& from = weights.adapter.blocks[block];
    const auto index = static_cast<int64_t>(block);
    if (from.attention_vector.defined()) {
      tensors[VectorName("attention", index)] = from.attention_vector;
    }
    if (from.mlp_vector.defined()) tensors[VectorName("mlp", index)] = from.mlp_vector;
  }
  SaveTensors(folder / "weights.safetensors", tensors);
  ordered_json body = {
      {"prompt_template", kPromptTemplate},
      {"layers", LayersText(info.hooks)},
      {"placeholder", spec.placeholder},
      {"placeholder_id", PlaceholderId(model, spec.placeholder)},
      {"question", spec.question},
      {"answer", kAnswerTemplate},
      {"injection",
       {{"block", spec.site.block},
        {"rule", InjectionRuleName(spec.site.rule)},
        {"coefficient", spec.site.coefficient}}},
      {"n_vectors", weights.input.n_vectors()},
      {"normalisation", weights.input.scale.defined() ? "scale and shift" : "centre"},
      {"minus_prior", spec.minus_prior},
      {"reading_share", spec.reading_share},
      {"tails", spec.tails},
      {"max_answer_tokens", spec.max_answer_tokens}};
  if (info.kind == "oracle") {
    SavePeft(folder / kPeftFolder, weights.adapter, info.model_name, dropout);
    body["peft_sha256"] = PeftSha256(folder / kPeftFolder);
  }
  return body;
}

}  // namespace extrospect
