#include "model/model.h"

#include <ATen/Context.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/hash.h"
#include "model/gguf.h"
#include "model/gguf_tokenizer.h"

namespace extrospect {
namespace {

// Tokens that end a turn in the chat formats of the supported families.
constexpr std::array kTurnEnds = {"<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|endoftext|>",
                                  "</s>"};

std::vector<int32_t> StopTokens(const Tokenizer& tokenizer) {
  std::vector<int32_t> stops;
  const auto add = [&](std::optional<int32_t> id) {
    if (id && std::find(stops.begin(), stops.end(), *id) == stops.end()) stops.push_back(*id);
  };
  add(tokenizer.eos_id());
  for (const char* const text : kTurnEnds) {
    const auto id = tokenizer.FindToken(text);
    if (id && tokenizer.is_special(*id)) add(id);
  }
  return stops;
}

}  // namespace

LanguageModel LoadModel(const std::filesystem::path& path,
                        const std::optional<WeightOptions>& weights) {
  if (!std::filesystem::exists(path)) {
    throw Error("the model was not found")
        .At(path.string())
        .Expected("a .gguf file")
        .Hint("tools/fetch_model gets the default model and prints its path");
  }
  const GgufFile file(path);
  LanguageModel model;
  model.path = path;
  model.name = file.FindString("general.name").value_or(path.stem().string());
  model.sha256 = Sha256HexOfFile(path);
  model.architecture = ArchitectureFromGguf(file);
  model.tokenizer = LoadTokenizerFromGguf(file);
  if (model.tokenizer->vocab_size() > model.architecture.vocab_size) {
    throw Error("the tokenizer has more tokens than the model has embeddings")
        .At(path.string())
        .Expected("at most " + std::to_string(model.architecture.vocab_size))
        .Found(std::to_string(model.tokenizer->vocab_size()));
  }
  model.chat_template = LoadChatTemplateFromGguf(file);
  if (model.chat_template) {
    model.chat_template_sha256 = Sha256Hex(model.chat_template->source());
  }
  model.stop_tokens = StopTokens(*model.tokenizer);
  if (weights) {
    model.transformer = std::make_unique<Transformer>(
        model.architecture,
        LoadWeights(model.architecture, *OpenGgufTensors(file, model.architecture), *weights));
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
