// From activation rows to the vectors that are injected.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>

namespace extrospect {

// All float32, on one device. Every hook's row, centred, is one vector; it may pass through a
// trained map of its own. One more vector may be a linear reading of all rows together. An affine
// input is s · x + b instead, for vectors that replace what they meet (arXiv 2602.10352).
struct OracleInput {
  at::Tensor mean;        // [hooks, d_model], over the training rows
  at::Tensor map;         // [hooks, d_model, d_model], or undefined: the identity
  at::Tensor joint;       // [d_model, hooks · d_model], or undefined: no joint vector
  at::Tensor joint_bias;  // [d_model], with joint
  at::Tensor scale;       // [hooks], or undefined: not affine
  at::Tensor bias;        // [hooks, d_model], with scale

  // How many vectors a question takes.
  int64_t n_vectors() const { return mean.size(0) + (joint.defined() ? 1 : 0); }

  // rows: [n, hooks, d_model] float32. Returns [n, n_vectors, d_model], the joint vector first.
  at::Tensor Vectors(const at::Tensor& rows) const;

  // The tensors that are defined, by name: "input.mean", …
  std::map<std::string, at::Tensor> Named() const;
};

}  // namespace extrospect
