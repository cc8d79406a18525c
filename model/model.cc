#include "model/model.h"

#include <ATen/Context.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "base/bounded_json.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "model/files/gguf.h"
#include "model/files/safetensors.h"
#include "model/tokenizer/gguf_tokenizer.h"

namespace extrospect {
namespace {

// Tokens that end a turn in the chat formats of the supported families.
constexpr std::array kTurnEnds = {"<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|endoftext|>",
                                  "</s>"};

constexpr size_t kMaxGenerationConfigBytes = 1'000'000;

// What generation_config.json, if there is one, says ends a text.
std::vector<int32_t> ConfiguredStops(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "generation_config.json";
  std::vector<int32_t> stops;
  if (!std::filesystem::exists(path)) return stops;
  const nlohmann::json config =
      ParseBoundedJson(ReadFile(path, kMaxGenerationConfigBytes), path.string());
  if (!config.is_object() || !config.contains("eos_token_id")) return stops;
  const nlohmann::json& eos = config["eos_token_id"];
  for (const nlohmann::json& id : eos.is_array() ? eos : nlohmann::json::array({eos})) {
    if (id.is_number_unsigned() && id <= INT32_MAX) stops.push_back(id.get<int32_t>());
  }
  return stops;
}

std::vector<int32_t> StopTokens(const Tokenizer& tokenizer, const std::vector<int32_t>& given) {
  std::vector<int32_t> stops;
  const auto add = [&](std::optional<int32_t> id) {
    if (id && std::find(stops.begin(), stops.end(), *id) == stops.end()) stops.push_back(*id);
  };
  add(tokenizer.eos_id());
  for (const int32_t id : given) {
    if (id < tokenizer.vocab_size()) add(id);
  }
  for (const char* const text : kTurnEnds) {
    const auto id = tokenizer.FindToken(text);
    if (id && tokenizer.is_special(*id)) add(id);
  }
  return stops;
}

// Special tokens may lie beyond the embeddings: the text models of Gemma 3 share the tokenizer of
// the multimodal ones, whose image token they do not have.
void CheckVocabulary(const Tokenizer& tokenizer, int64_t vocab_size,
                     const std::filesystem::path& path) {
  for (int64_t id = vocab_size; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.is_special(static_cast<int32_t>(id))) continue;
    throw Error("the tokenizer has more tokens than the model has embeddings")
        .At(path.string())
        .Expected("at most " + std::to_string(vocab_size))
        .Found(std::to_string(tokenizer.vocab_size()));
  }
}

void Finish(LanguageModel& model, const std::vector<int32_t>& stops) {
  CheckVocabulary(*model.tokenizer, model.architecture.vocab_size, model.path);
  if (model.chat_template) {
    model.chat_template_sha256 = Sha256Hex(model.chat_template->source());
  }
  model.stop_tokens = StopTokens(*model.tokenizer, stops);
}

void LoadGgufModel(LanguageModel& model, const std::optional<WeightOptions>& weights) {
  const GgufFile file(model.path);
  model.name = file.FindString("general.name").value_or(model.path.stem().string());
  model.sha256 = Sha256HexOfFile(model.path);
  model.files = {{model.path.filename().string(), model.sha256}};
  model.architecture = ArchitectureFromGguf(file);
  model.tokenizer = LoadTokenizerFromGguf(file);
  model.chat_template = LoadChatTemplateFromGguf(file);
  Finish(model, {});
  if (weights) {
    model.transformer = std::make_unique<Transformer>(
        model.architecture,
        LoadWeights(model.architecture, *OpenGgufTensors(file, model.architecture), *weights));
  }
}

void LoadDirectoryModel(LanguageModel& model, const std::optional<WeightOptions>& weights) {
  model.name = std::filesystem::weakly_canonical(model.path).filename().string();
  model.architecture = ArchitectureFromDirectory(model.path);
  const SafetensorsModel tensors(model.path);
  std::vector<std::filesystem::path> paths = {model.path / "config.json"};
  for (const SafetensorsFile& file : tensors.files()) paths.emplace_back(file.name());
  for (const std::filesystem::path& path : paths) {
    model.files.push_back({path.filename().string(), Sha256HexOfFile(path)});
  }
  std::sort(model.files.begin(), model.files.end(),
            [](const ModelFile& a, const ModelFile& b) { return a.name < b.name; });
  std::string lines;
  for (const ModelFile& file : model.files) lines += file.sha256 + "  " + file.name + "\n";
  model.sha256 = Sha256Hex(lines);
  model.tokenizer = LoadTokenizerFromDirectory(model.path);
  model.chat_template = LoadChatTemplateFromDirectory(model.path);
  Finish(model, ConfiguredStops(model.path));
  if (weights) {
    model.transformer = std::make_unique<Transformer>(
        model.architecture,
        LoadWeights(model.architecture, *OpenSafetensorsTensors(tensors, model.architecture),
                    *weights));
  }
}

}  // namespace

LanguageModel LoadModel(const std::filesystem::path& path,
                        const std::optional<WeightOptions>& weights) {
  if (!std::filesystem::exists(path)) {
    throw Error("the model was not found")
        .At(path.string())
        .Expected("a .gguf file or a Hugging Face directory")
        .Hint("tools/fetch_model gets the default model and prints its path");
  }
  LanguageModel model;
  model.path = path;
  if (std::filesystem::is_directory(path)) {
    LoadDirectoryModel(model, weights);
  } else {
    LoadGgufModel(model, weights);
  }
  return model;
}

at::ScalarType ParseDtype(const std::string& text) {
  if (text == "f32") return at::kFloat;
  if (text == "bf16") return at::kBFloat16;
  if (text == "f64") return at::kDouble;
  throw UsageError("unknown dtype").At("--dtype").Expected("f32 or bf16").Found(text);
}

std::string DtypeName(at::ScalarType dtype) {
  if (dtype == at::kBFloat16) return "bf16";
  return dtype == at::kDouble ? "f64" : "f32";
}

std::vector<at::Device> ParseDevices(const std::string& text) {
  std::vector<at::Device> devices;
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string name = text.substr(begin, end - begin);
    const auto bad = [&] {
      return UsageError("unknown device")
          .At("--device")
          .Expected("cpu, cuda, cuda:N, or several separated by commas")
          .Found(name);
    };
    try {
      devices.emplace_back(name);
    } catch (const std::exception&) {
      throw bad();
    }
    if (!devices.back().is_cpu() && !devices.back().is_cuda()) throw bad();
    if (devices.back().is_cuda() && !at::hasCUDA()) {
      throw UsageError("this build of libtorch has no CUDA")
          .At("--device " + name)
          .Hint("use --device cpu, or build with a CUDA libtorch");
    }
    begin = end + 1;
  }
  return devices;
}

}  // namespace extrospect
