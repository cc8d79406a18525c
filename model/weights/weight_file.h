// Tensors in and out of safetensors files.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "model/files/safetensors.h"

namespace extrospect {

// A tensor of an untrusted file, as float32 on `device`. Throws Error naming file and tensor if it
// is missing, not of `shape`, or holds a value that is not finite.
at::Tensor LoadTensor(const SafetensorsFile& file, const std::string& name,
                      const std::vector<int64_t>& shape, at::Device device);

// Writes float32 tensors of any device, atomically.
void SaveTensors(const std::filesystem::path& path,
                 const std::map<std::string, at::Tensor>& tensors,
                 const std::map<std::string, std::string>& metadata = {});

}  // namespace extrospect
