// A frozen matrix of the model, as the forward pass multiplies by it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace extrospect {

// y = x Wᵀ + b. On the CPU a bfloat16 weight can be packed into the layout that its matrix kernel
// wants, which saves a copy on every call. The weight itself never gets a gradient.
class Linear {
 public:
  Linear() = default;
  Linear(at::Tensor weight, at::Tensor bias = {});

  // x: [rows, in] in the weight's dtype. Returns [rows, out]. Differentiable with respect to x,
  // unless the weight was packed for inference alone.
  at::Tensor operator()(const at::Tensor& x) const;

  // Packs the weight if that helps on its device and dtype; `differentiable` packs the transposed
  // one as well, for the backward pass. The plain weight is given up: nothing of it is kept.
  void Pack(bool differentiable);
  // Whether Pack changes a weight of this kind.
  static bool Packs(at::Device device, at::ScalarType dtype);

  // Rows [index, in] of the weight, in its dtype. Of a packed one, all of it is unpacked for that.
  at::Tensor Rows(const at::Tensor& index) const;

  bool defined() const { return weight_.defined(); }
  const at::Tensor& weight() const { return weight_; }
  int64_t out_features() const { return out_features_; }

 private:
  at::Tensor weight_, bias_;
  at::Tensor transposed_;  // packed Wᵀ; undefined if not packed or not differentiable
  int64_t out_features_ = 0;
  bool packed_ = false;
};

}  // namespace extrospect
