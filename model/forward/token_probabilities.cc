#include "model/forward/token_probabilities.h"

#include <ATen/ATen.h>

#include "model/index_tensor.h"

namespace extrospect {

TokenProbabilities::TokenProbabilities(const Transformer& transformer,
                                       const std::vector<int32_t>& tokens)
    : transformer_(transformer) {
  const at::Device device = transformer.weights().blocks.back().device;
  tokens_ = IndexTensor(std::vector<int64_t>(tokens.begin(), tokens.end()), device);
  if (at::isReducedFloatingType(transformer.dtype())) {
    output_rows_ = transformer.weights().head.Rows(tokens_).to(at::kFloat);
  }
}

at::Tensor TokenProbabilities::Log(const at::Tensor& residual) const {
  const at::Tensor logits = transformer_.Unembed(residual);
  // They replace the rounded ones in the sum too, so that no probability exceeds 1.
  if (output_rows_.defined()) {
    logits.index_copy_(1, tokens_, transformer_.Unembed(residual, output_rows_));
  }
  const at::Tensor chosen = logits.index_select(1, tokens_);
  return (chosen - at::logsumexp(logits, {1}, /*keepdim=*/true)).to(at::kFloat);
}

at::Tensor TokenProbabilities::Log(const at::Tensor& residual,
                                   const std::vector<int64_t>& places) const {
  return Log(residual.index_select(0, IndexTensor(places, residual.device())));
}

}  // namespace extrospect
