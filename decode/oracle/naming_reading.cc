#include "decode/oracle/naming_reading.h"

#include <ATen/ATen.h>

#include <cmath>

namespace extrospect {
namespace {

// More, or other priors, change next to nothing.
constexpr int kStrengths = 8;

}  // namespace

NamingScores NamingReading::Scores(const at::Tensor& rows, int64_t nothing) const {
  const at::Tensor usual = at::linear(rows.flatten(1), weight, bias);
  const at::Tensor any = calm.defined() ? AnyStrengthScores(usual, calm, nothing) : usual;
  return {usual.to(at::kCPU), any.to(at::kCPU)};
}

std::map<std::string, at::Tensor> NamingReading::Named() const {
  std::map<std::string, at::Tensor> named;
  if (weight.defined()) named = {{"naming.weight", weight}, {"naming.bias", bias}};
  if (calm.defined()) named["naming.calm"] = calm;
  return named;
}

at::Tensor AnyStrengthScores(const at::Tensor& scores, const at::Tensor& calm_scores,
                             int64_t nothing) {
  const at::Tensor calm = calm_scores - calm_scores.select(0, nothing);
  const at::Tensor gain = scores - scores.narrow(1, nothing, 1) - calm;
  at::Tensor sum;
  for (int i = 1; i <= kStrengths; ++i) {
    const double t = static_cast<double>(i) / kStrengths;
    const at::Tensor ratio = gain * t + calm * (t * t);
    sum = sum.defined() ? at::logaddexp(sum, ratio) : ratio;
  }
  return sum - std::log(static_cast<double>(kStrengths));
}

}  // namespace extrospect
