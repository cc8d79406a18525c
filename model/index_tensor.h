// Indices as a tensor.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace extrospect {

// [values] int64 on `device`.
at::Tensor IndexTensor(const std::vector<int64_t>& values, at::Device device);

}  // namespace extrospect
