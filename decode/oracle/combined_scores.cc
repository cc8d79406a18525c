#include "decode/oracle/combined_scores.h"

#include <ATen/ATen.h>

#include <limits>

namespace extrospect {

at::Tensor CombinedScores(const at::Tensor& answers, const at::Tensor& reading, double share,
                          int64_t nothing) {
  const auto of_feelings = [&](const at::Tensor& scores) {
    at::Tensor only = scores.clone();
    only.select(1, nothing).fill_(-std::numeric_limits<float>::infinity());
    return only;
  };
  const at::Tensor log_p = at::log_softmax(answers, 1);
  const at::Tensor a_feeling = of_feelings(log_p).logsumexp({1}, /*keepdim=*/true);
  const at::Tensor which = of_feelings((1 - share) * log_p + share * at::log_softmax(reading, 1));
  at::Tensor combined = at::log_softmax(which, 1) + a_feeling;
  combined.select(1, nothing).copy_(log_p.select(1, nothing));
  return combined;
}

}  // namespace extrospect
