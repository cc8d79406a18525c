// Features with mean 0 and standard deviation 1 over the training rows.
#pragma once

#include <ATen/core/Tensor.h>

namespace extrospect {

struct Standardiser {
  at::Tensor mean, scale;  // [features] float32; scale is 1 / standard deviation

  // rows: [n, features] float32. Deviations have a floor, so that a feature that hardly varies is
  // not blown up: a thousandth of the mean deviation.
  explicit Standardiser(const at::Tensor& rows);

  // x: [n, features]. Returns the same shape.
  at::Tensor operator()(const at::Tensor& x) const;
};

}  // namespace extrospect
