#include "model/forward/rope.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace extrospect {
namespace {

// Rows that are computed at a time.
constexpr int64_t kPieceRows = 1024;

// Inverse frequencies as the scaling variants change them, in `dtype` like the reference's.
at::Tensor InverseFrequencies(const Rope& rope, int64_t head_dim, at::ScalarType dtype) {
  const auto exponent =
      at::arange(0, head_dim, 2, at::TensorOptions(at::kLong).device(at::kCPU)).to(dtype) /
      static_cast<double>(head_dim);
  at::Tensor inverse = 1.0 / at::pow(at::Scalar(rope.base), exponent);
  constexpr double kTurn = 2.0 * std::numbers::pi;
  switch (rope.scaling) {
    case Rope::Scaling::kNone:
      return inverse;
    case Rope::Scaling::kLinear:
      return inverse / rope.factor;
    case Rope::Scaling::kLlama3: {
      const double context = static_cast<double>(rope.original_context);
      const at::Tensor wavelength = kTurn / inverse;
      const double low = rope.low_frequency_factor, high = rope.high_frequency_factor;
      const at::Tensor stretched =
          at::where(wavelength > context / low, inverse / rope.factor, inverse);
      const at::Tensor blend = (context / wavelength - low) / (high - low);
      const at::Tensor blended = (1 - blend) * stretched / rope.factor + blend * stretched;
      const at::Tensor medium =
          at::logical_and(wavelength >= context / high, wavelength <= context / low);
      return at::where(medium, blended, stretched);
    }
    case Rope::Scaling::kDivisors: {
      at::Tensor divisors = at::empty({head_dim / 2}, at::TensorOptions(at::kFloat));
      std::copy(rope.divisors.begin(), rope.divisors.end(), divisors.mutable_data_ptr<float>());
      return inverse / divisors.to(dtype);
    }
    case Rope::Scaling::kYarn: {
      const double context = static_cast<double>(rope.original_context);
      const auto dimension = [&](double rotations) {
        return head_dim * std::log(context / (rotations * kTurn)) / (2.0 * std::log(rope.base));
      };
      const double low = std::max(std::floor(dimension(rope.beta_fast)), 0.0);
      double high = std::min(std::ceil(dimension(rope.beta_slow)), head_dim - 1.0);
      if (high == low) high += 0.001;
      const at::Tensor ramp =
          at::clamp((at::arange(head_dim / 2, inverse.options()) - low) / (high - low), 0.0, 1.0);
      return (inverse / rope.factor) * ramp + inverse * (1 - ramp);
    }
  }
  return inverse;
}

}  // namespace

RopeAngles::RopeAngles(const Rope& rope, int64_t head_dim, at::ScalarType dtype, at::Device device)
    : attention_factor_(rope.attention_factor), device_(device) {
  const c10::InferenceMode not_inference(false);
  const c10::NoGradGuard no_grad;
  inverse_frequencies_ =
      InverseFrequencies(rope, head_dim, dtype == at::kDouble ? at::kDouble : at::kFloat);
}

RopeTable RopeAngles::Upto(int64_t n_positions) const {
  const std::lock_guard lock(mutex_);
  const int64_t known = table_.cos.defined() ? table_.cos.size(0) : 0;
  if (n_positions <= known) return table_;
  // Tables outlive the caller, who may be in inference mode now and train later.
  const c10::InferenceMode not_inference(false);
  const c10::NoGradGuard no_grad;
  // Doubling keeps the number of copies small.
  const int64_t wanted = std::max(n_positions, 2 * known);
  std::vector<at::Tensor> cos, sin;
  if (known > 0) {
    cos.push_back(table_.cos);
    sin.push_back(table_.sin);
  }
  for (int64_t begin = known; begin < wanted; begin += kPieceRows) {
    const at::Tensor positions =
        at::arange(begin, begin + kPieceRows, inverse_frequencies_.options());
    const at::Tensor angles = at::outer(positions, inverse_frequencies_);
    cos.push_back((at::cos(angles) * attention_factor_).to(device_));
    sin.push_back((at::sin(angles) * attention_factor_).to(device_));
  }
  table_ = {at::cat(cos), at::cat(sin)};
  return table_;
}

}  // namespace extrospect
