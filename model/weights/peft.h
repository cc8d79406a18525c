// Adapters as folders that the Python library `peft` reads and writes: adapter_config.json and
// adapter_model.safetensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>

#include "model/weights/adapter.h"

namespace extrospect {

// Writes the low-rank updates; vectors are no part of the format. `base_model` is what the config
// names as the model that the adapter belongs to.
void SavePeft(const std::filesystem::path& folder, const Adapter& adapter,
              const std::string& base_model, double dropout);

// Reads a LoRA adapter for a model of this architecture, every block's tensors on the device of
// `devices`. The folder is untrusted input: throws Error naming file and tensor if something is
// missing, misshapen, left over, of a kind that is not plain LoRA, or where the configuration has
// no adapter.
Adapter LoadPeft(const std::filesystem::path& folder, const Architecture& architecture,
                 const std::vector<at::Device>& devices);

// Of both files together: what an adapter's identity is.
std::string PeftSha256(const std::filesystem::path& folder);

// The name of a low-rank matrix in such a file: letter is 'A' or 'B'.
std::string PeftTensorName(int64_t block, Target target, char letter);

}  // namespace extrospect
