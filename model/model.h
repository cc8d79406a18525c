// A whole language model: its files' hashes, architecture, tokenizer, chat template and weights.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/chat/chat_template.h"
#include "model/config/architecture.h"
#include "model/forward/transformer.h"
#include "model/tokenizer/tokenizer.h"
#include "model/weights/weights.h"

namespace extrospect {

// One of the files that decide what a model computes.
struct ModelFile {
  std::string name;  // without directory
  std::string sha256;
};

struct LanguageModel {
  std::filesystem::path path;
  std::string name;  // as the file calls itself, or the name of the directory
  // Of a GGUF file: the file's. Of a directory: of the lines "<sha256>  <name>" of `files`.
  std::string sha256;
  std::vector<ModelFile> files;  // sorted by name: the GGUF file, or config.json and the weights
  Architecture architecture;
  std::unique_ptr<Tokenizer> tokenizer;
  std::optional<ChatTemplate> chat_template;
  std::string chat_template_sha256;          // empty without a template
  std::vector<int32_t> stop_tokens;          // end of text and end of turn
  std::unique_ptr<Transformer> transformer;  // null if the weights were not asked for
};

// Loads a `.gguf` file or a Hugging Face directory (config.json, *.safetensors, and the tokenizer's
// files). Throws Error naming the file and what is wrong with it. Without `weights`, everything but
// the transformer.
LanguageModel LoadModel(const std::filesystem::path& path,
                        const std::optional<WeightOptions>& weights);

// "f32", "bf16", "f64", and the devices of a comma-separated list ("cpu", "cuda:0,cuda:1"). Throw
// UsageError.
at::ScalarType ParseDtype(const std::string& text);
std::string DtypeName(at::ScalarType dtype);
std::vector<at::Device> ParseDevices(const std::string& text);

}  // namespace extrospect
