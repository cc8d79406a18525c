#include "model/index_tensor.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace extrospect {

at::Tensor IndexTensor(const std::vector<int64_t>& values, at::Device device) {
  const at::Tensor host = at::empty({static_cast<int64_t>(values.size())},
                                    at::TensorOptions(at::kLong).device(at::kCPU));
  std::copy(values.begin(), values.end(), host.mutable_data_ptr<int64_t>());
  return host.to(device);
}

}  // namespace extrospect
