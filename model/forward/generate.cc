#include "model/forward/generate.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "base/random.h"

namespace extrospect {
namespace {

// The index of a draw from softmax(logits / temperature), by inverting the cumulative distribution.
int32_t Sample(const float* logits, int64_t n, double temperature, RandomStream& random) {
  const float max = *std::max_element(logits, logits + n);
  std::vector<double> cumulative(n);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    cumulative[i] = sum += std::exp((static_cast<double>(logits[i]) - max) / temperature);
  }
  const double u = random.Uniform() * sum;
  const auto found = std::upper_bound(cumulative.begin(), cumulative.end(), u);
  return static_cast<int32_t>(std::min<int64_t>(found - cumulative.begin(), n - 1));
}

}  // namespace

std::vector<std::vector<int32_t>> Generate(const Transformer& model,
                                           std::span<const Prompt> prompts,
                                           const GenerateOptions& options) {
  std::vector<std::vector<int32_t>> results(prompts.size());
  if (options.max_new_tokens <= 0) return results;
  std::vector<RandomStream> random;
  std::vector<size_t> active;  // indices of prompts that are still generating
  std::vector<Sequence> sequences;
  for (size_t i = 0; i < prompts.size(); ++i) {
    random.emplace_back(options.seed, "generate/" + (options.streams.empty() ? std::to_string(i)
                                                                             : options.streams[i]));
    active.push_back(i);
    const auto capacity =
        static_cast<int64_t>(prompts[i].tokens.size()) + options.max_new_tokens - 1;
    sequences.push_back({prompts[i].tokens, prompts[i].past, model.MakeSegment(capacity)});
  }
  bool first = true;
  while (!active.empty()) {
    ForwardOptions forward;
    forward.sequences = sequences;
    forward.adapter = options.adapter;
    if (first) forward.injections = options.injections;
    first = false;
    int64_t row = -1;
    for (const Sequence& sequence : sequences) {
      forward.logit_rows.push_back(row += static_cast<int64_t>(sequence.tokens.size()));
    }
    at::Tensor logits = model.Forward(forward).logits.to(at::kFloat);
    if (options.vocabulary > 0 && options.vocabulary < logits.size(1)) {
      logits = logits.narrow(1, 0, options.vocabulary);
    }
    // Greedy decoding brings one index a row to the host, sampling the logits.
    const at::Tensor host =
        options.temperature > 0 ? logits.to(at::kCPU).contiguous() : logits.argmax(-1).to(at::kCPU);
    std::vector<size_t> still_active;
    std::vector<Sequence> next;
    for (size_t k = 0; k < active.size(); ++k) {
      const size_t i = active[k];
      const auto r = static_cast<int64_t>(k);
      const int32_t token = options.temperature > 0
                                ? Sample(host.const_data_ptr<float>() + r * host.size(1),
                                         host.size(1), options.temperature, random[i])
                                : static_cast<int32_t>(host.const_data_ptr<int64_t>()[r]);
      const auto& stop = options.stop_tokens;
      if (std::find(stop.begin(), stop.end(), token) != stop.end()) continue;
      results[i].push_back(token);
      if (static_cast<int64_t>(results[i].size()) == options.max_new_tokens) continue;
      still_active.push_back(i);
      next.push_back({{token}, std::move(sequences[k].past), std::move(sequences[k].append)});
    }
    active = std::move(still_active);
    sequences = std::move(next);
  }
  return results;
}

}  // namespace extrospect
