// A stored tensor into a torch tensor.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "model/files/tensor_view.h"

namespace extrospect {

// Decodes `tensor` into `destination`, a contiguous CPU tensor of float32, float64 or bfloat16, in
// parallel and in pieces. Throws Error, naming `where` (the file) and the tensor, if the shapes
// differ or a value is not finite.
void DecodeTensor(const TensorView& tensor, const at::Tensor& destination,
                  const std::string& where);

}  // namespace extrospect
