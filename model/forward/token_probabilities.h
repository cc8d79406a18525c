// How probable the model holds chosen tokens as the next ones, in float32 whatever its dtype.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/forward/transformer.h"

namespace extrospect {

// A product in bfloat16 is rounded to bfloat16: logits between 16 and 32 come in steps of an
// eighth, and tokens whose probabilities differ by less than a tenth come out equal or in the wrong
// order. Here the chosen tokens' own logits are products in float32; the others, which only enter
// the sum over the vocabulary, are what the model's dtype makes of them.
class TokenProbabilities {
 public:
  // The transformer must outlive it. Takes rows of the output matrix, which for a packed one means
  // to unpack it once.
  TokenProbabilities(const Transformer& transformer, const std::vector<int32_t>& tokens);

  // Natural logarithms [rows, tokens], float32, on the device of the last block, for residual rows
  // [rows, d_model] as they leave that. A row of logits over the vocabulary is in memory for each.
  at::Tensor Log(const at::Tensor& residual) const;
  // Of some of the rows, by their places: [places, tokens].
  at::Tensor Log(const at::Tensor& residual, const std::vector<int64_t>& places) const;

 private:
  const Transformer& transformer_;
  at::Tensor tokens_;       // [tokens] int64
  at::Tensor output_rows_;  // [tokens, d_model] float32; undefined if logits are not rounded
};

}  // namespace extrospect
