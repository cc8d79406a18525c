#include "train/oracle/oracle_loss.h"

#include <ATen/ATen.h>

#include <limits>
#include <utility>

#include "model/index_tensor.h"

namespace extrospect {
namespace {

// Logits [n, vocabulary] without those of excluded[i] at row i, where that is not −1.
at::Tensor Exclude(const at::Tensor& logits, const std::vector<int64_t>& excluded) {
  std::vector<int64_t> rows, tokens;
  for (size_t i = 0; i < excluded.size(); ++i) {
    if (excluded[i] < 0) continue;
    rows.push_back(static_cast<int64_t>(i));
    tokens.push_back(excluded[i]);
  }
  if (rows.empty()) return logits;
  const at::Tensor never = at::full({}, -std::numeric_limits<float>::infinity(), logits.options());
  return logits.index_put(
      {IndexTensor(rows, logits.device()), IndexTensor(tokens, logits.device())}, never);
}

}  // namespace

Exchange MakeExchange(const LanguageModel& model, const OraclePrompt& prompt) {
  Exchange exchange;
  exchange.tokens = prompt.question;
  exchange.n_asked = static_cast<int64_t>(prompt.question.size());
  exchange.tokens.insert(exchange.tokens.end(), prompt.answer.begin(), prompt.answer.end());
  const auto eos = model.tokenizer->eos_id();
  if (eos) {
    exchange.tokens.push_back(*eos);
  } else if (!model.stop_tokens.empty()) {
    exchange.tokens.push_back(model.stop_tokens.front());
  }
  return exchange;
}

at::Tensor SumOfAnswerLosses(const Transformer& model, const AdapterPass* adapter,
                             const InjectionSite& site, const std::vector<int32_t>& prefix,
                             std::span<const Exchange> exchanges, const at::Tensor& vectors) {
  ForwardOptions forward;
  forward.adapter = adapter;
  std::vector<Sequence> sequences = {{prefix, {}, nullptr}};
  std::vector<int64_t> injected, targets, excluded;
  auto row = static_cast<int64_t>(prefix.size());
  for (const Exchange& exchange : exchanges) {
    for (int64_t k = 0; k < vectors.size(1); ++k) injected.push_back(row + k);
    const auto length = static_cast<int64_t>(exchange.tokens.size());
    for (int64_t t = exchange.n_asked; t < length; ++t) {
      forward.logit_rows.push_back(row + t - 1);
      targets.push_back(exchange.tokens[static_cast<size_t>(t)]);
      excluded.push_back(exchange.excluded == targets.back() ? -1 : exchange.excluded);
    }
    // The last token is only predicted.
    Sequence sequence{{exchange.tokens.begin(), exchange.tokens.end() - 1}, {}, nullptr};
    sequence.parent = 0;
    sequences.push_back(std::move(sequence));
    row += length - 1;
  }
  forward.sequences = sequences;
  forward.injections.push_back(InjectAt(site, injected, vectors.flatten(0, 1)));
  const at::Tensor logits = Exclude(model.Forward(forward).logits, excluded);
  const at::Tensor wanted = IndexTensor(targets, logits.device());
  return at::cross_entropy_loss(logits, wanted, {}, at::Reduction::Sum);
}

}  // namespace extrospect
