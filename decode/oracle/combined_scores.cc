#include "decode/oracle/combined_scores.h"

#include <ATen/ATen.h>

#include <limits>

namespace extrospect {

at::Tensor CombinedScores(const at::Tensor& answers, const NamingScores& reading, double share,
                          int64_t nothing) {
  const auto of_feelings = [&](const at::Tensor& scores) {
    at::Tensor only = scores.clone();
    only.select(1, nothing).fill_(-std::numeric_limits<float>::infinity());
    return only;
  };
  const at::Tensor log_p = at::log_softmax(answers, 1);
  if (share == 0) return log_p;  // not 0^0 where p is too small for a number
  const at::Tensor log_felt = of_feelings(log_p).logsumexp({1}, /*keepdim=*/true);
  const at::Tensor felt = log_felt.exp();
  const at::Tensor named = at::lerp(reading.any_strength, reading.usual, felt);
  const at::Tensor which = of_feelings(at::lerp(log_p, named, at::pow(share, felt)));
  at::Tensor combined = at::log_softmax(which, 1) + log_felt;
  combined.select(1, nothing).copy_(log_p.select(1, nothing));
  return combined;
}

}  // namespace extrospect
