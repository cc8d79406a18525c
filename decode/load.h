// Decoder folders: decoder.json and what lies beside it.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "decode/decoder.h"
#include "model/model.h"

namespace extrospect {

inline constexpr int kDecoderFormatVersion = 1;
// The query of a decoder that pools tokens by attention: "query" [hooks, d_model] float32.
inline constexpr const char* kPoolFile = "pool.safetensors";

// decoder.json, parsed and checked: what all kinds share, and the kind's own part.
struct DecoderFile {
  DecoderInfo info;
  nlohmann::json body;         // the object under the kind's name
  std::string weights_sha256;  // of weights.safetensors
  std::string pool_sha256;     // of pool.safetensors, where the pool is attention
};

// Checks every field; throws Error naming `where` and the field. Touches no other file.
DecoderFile ParseDecoderJson(std::string_view text, const std::string& where);

// Opens a decoder folder. Throws Error naming file and field if anything in it is missing, damaged
// or does not fit together; the folder is untrusted input. `model` is for kinds that ask the
// language model itself, which run where the model is, and without which they throw UsageError.
std::unique_ptr<Decoder> LoadDecoder(const std::filesystem::path& folder, at::Device device,
                                     std::shared_ptr<const LanguageModel> model = nullptr);

// For kinds that ask the language model itself: throws UsageError if there is none (or no weights),
// and Error, naming both sides, if it is not the one that the decoder was trained on.
void CheckModel(const DecoderInfo& info, const std::filesystem::path& folder,
                const LanguageModel* model);

// decoder.json for a decoder whose other files are written already. Written last, atomically: a
// folder with a decoder.json is whole.
void WriteDecoderJson(const std::filesystem::path& folder, const DecoderInfo& info,
                      const nlohmann::ordered_json& body);

}  // namespace extrospect
