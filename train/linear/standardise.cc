#include "train/linear/standardise.h"

#include <ATen/ATen.h>

namespace extrospect {

Standardiser::Standardiser(const at::Tensor& rows) {
  const at::Tensor exact = rows.to(at::kDouble);
  mean = exact.mean(0).to(at::kFloat);
  const at::Tensor deviation = exact.var(0, /*unbiased=*/false).sqrt();
  const double floor = 1e-3 * deviation.mean().item<double>() + 1e-12;
  scale = deviation.clamp_min(floor).reciprocal().to(at::kFloat);
}

at::Tensor Standardiser::operator()(const at::Tensor& x) const { return (x - mean) * scale; }

}  // namespace extrospect
