// What an oracle's training minimises: the cross-entropy of answers about injected activations.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "decode/oracle/injection_site.h"
#include "decode/oracle/oracle_prompt.h"
#include "model/model.h"
#include "model/weights/adapter.h"

namespace extrospect {

// A question with its answer as tokens, behind a beginning that all questions have in common.
struct Exchange {
  std::vector<int32_t> tokens;  // from the first placeholder to the end of the answer
  int64_t n_asked = 0;          // of them the question; the rest is to be learned
  // A token that the answer is known not to have, and with which it does not compete; −1: none.
  int32_t excluded = -1;

  int64_t n_answer() const { return static_cast<int64_t>(tokens.size()) - n_asked; }
};

// The prompt's question and answer, and the token that ends an answer of this model.
Exchange MakeExchange(const LanguageModel& model, const OraclePrompt& prompt);

// Summed over the tokens of all answers: a scalar with its graph. The common beginning is computed
// once, no padding is computed, and logits only where an answer's token is predicted.
//   adapter  null: the model as it is
//   vectors  [exchanges, k, d_model], injected at the first k tokens of each
at::Tensor SumOfAnswerLosses(const Transformer& model, const AdapterPass* adapter,
                             const InjectionSite& site, const std::vector<int32_t>& prefix,
                             std::span<const Exchange> exchanges, const at::Tensor& vectors);

}  // namespace extrospect
