// What parity tests share: tensors of fixture files, and the measure of error.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <string>

#include "model/files/safetensors.h"

namespace extrospect {

// A float32 or float64 tensor of a fixture file.
inline at::Tensor ReferenceTensor(const SafetensorsFile& file, const std::string& name) {
  const SafetensorsEntry& entry = file.entries().at(name);
  const at::Tensor tensor =
      at::empty(entry.shape, at::TensorOptions(entry.dtype == "F64" ? at::kDouble : at::kFloat));
  std::copy(entry.bytes.begin(), entry.bytes.end(),
            static_cast<std::byte*>(tensor.mutable_data_ptr()));
  return tensor;
}

// Worst relative L2 error over rows.
inline double WorstRowError(const at::Tensor& found, const at::Tensor& expected) {
  const at::Tensor a = found.to(at::kDouble), b = expected.to(at::kDouble);
  return ((a - b).norm(2, -1) / b.norm(2, -1)).max().item<double>();
}

}  // namespace extrospect
