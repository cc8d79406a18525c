// From tensors to the CPU kernels' plain pointers.
#pragma once

#include <ATen/core/Tensor.h>

namespace extrospect {

// Calls body(T{}) with the C++ type of a kernel's dtype: float32 or bfloat16.
template <typename Body>
void WithKernelType(at::ScalarType dtype, Body body) {
  if (dtype == at::kFloat) {
    body(float{});
  } else {
    body(c10::BFloat16{});
  }
}

template <typename T>
const T* DataOrNull(const at::Tensor& x) {
  return x.defined() ? x.const_data_ptr<T>() : nullptr;
}

}  // namespace extrospect
