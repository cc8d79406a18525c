#include "decode/oracle_input.h"

#include <ATen/ATen.h>

#include <vector>

namespace extrospect {

at::Tensor OracleInput::Vectors(const at::Tensor& rows) const {
  if (scale.defined()) return rows * scale.view({-1, 1}) + bias;
  const at::Tensor centred = rows - mean;
  at::Tensor vectors = centred;
  if (map.defined()) {
    // [hooks, n, d] · [hooks, d, d]ᵀ
    vectors = at::bmm(centred.transpose(0, 1), map.transpose(1, 2)).transpose(0, 1);
  }
  if (joint.defined()) {
    vectors = at::cat({at::linear(centred.flatten(1), joint, joint_bias).unsqueeze(1), vectors}, 1);
  }
  return vectors;
}

std::map<std::string, at::Tensor> OracleInput::Named() const {
  std::map<std::string, at::Tensor> named;
  const auto add = [&](const char* name, const at::Tensor& tensor) {
    if (tensor.defined()) named[std::string("input.") + name] = tensor;
  };
  add("mean", mean);
  add("map", map);
  add("joint", joint);
  add("joint_bias", joint_bias);
  add("scale", scale);
  add("bias", bias);
  return named;
}

}  // namespace extrospect
