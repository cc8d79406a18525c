#include "decode/oracle/oracle_input.h"

#include <ATen/ATen.h>

#include <limits>
#include <vector>

namespace extrospect {

at::Tensor OracleInput::Scores(const at::Tensor& rows) const {
  return keys.defined() ? at::linear((rows - mean).flatten(1), keys, key_bias) : at::Tensor();
}

at::Tensor OracleInput::Vectors(const at::Tensor& rows, const at::Tensor& scores) const {
  if (scale.defined()) return rows * scale.view({-1, 1}) + bias;
  const at::Tensor centred = rows - mean;
  at::Tensor vectors = centred;
  if (map.defined()) {
    // [hooks, n, d] · [hooks, d, d]ᵀ
    vectors = at::bmm(centred.transpose(0, 1), map.transpose(1, 2)).transpose(0, 1);
  }
  if (keys.defined()) {
    at::Tensor weights = scores.unsqueeze(1) * sharpness.view({-1, 1});
    if (left_out.defined()) {
      weights = weights.masked_fill(left_out > 0, -std::numeric_limits<float>::infinity());
    }
    vectors = at::cat({at::matmul(at::softmax(weights, 2), codes), vectors}, 1);
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
  add("keys", keys);
  add("key_bias", key_bias);
  add("codes", codes);
  add("sharpness", sharpness);
  add("left_out", left_out);
  add("scale", scale);
  add("bias", bias);
  return named;
}

}  // namespace extrospect
