#include "decode/token_pool.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>

namespace extrospect {
namespace {

// Differences of running sums, in float64 since they grow. first: of every row, where its window
// begins.
at::Tensor RunningMean(const at::Tensor& rows, const std::vector<int64_t>& first) {
  const at::Tensor sums =
      at::cat({at::zeros_like(rows.narrow(0, 0, 1), at::kDouble), rows.to(at::kDouble).cumsum(0)});
  std::vector<double> count;
  for (size_t i = 0; i < first.size(); ++i) {
    count.push_back(static_cast<double>(static_cast<int64_t>(i) + 1 - first[i]));
  }
  const auto cpu = at::TensorOptions().device(at::kCPU);
  const at::Tensor before = at::tensor(first, cpu.dtype(at::kLong)).to(rows.device());
  const at::Tensor n = at::tensor(count, cpu.dtype(at::kDouble)).to(rows.device());
  return ((sums.narrow(0, 1, rows.size(0)) - sums.index_select(0, before)) / n.view({-1, 1, 1}))
      .to(at::kFloat);
}

}  // namespace

at::Tensor Attend(const at::Tensor& tokens, const at::Tensor& query) {
  return at::mv(tokens.t(), at::softmax(at::mv(tokens, query), 0));
}

at::Tensor TokenPool::operator()(const at::Tensor& tokens) const {
  if (!attends()) return tokens.mean(0);
  return Attend(tokens.flatten(1), query_.to(tokens.device()).flatten())
      .view({tokens.size(1), tokens.size(2)});
}

at::Tensor TokenPool::Running(const at::Tensor& rows, const std::vector<uint32_t>& transcript,
                              int64_t window) const {
  if (window <= 1 || rows.size(0) == 0) return rows;
  const c10::InferenceMode inference;
  std::vector<int64_t> first;
  int64_t start = 0;
  for (int64_t i = 0; i < rows.size(0); ++i) {
    if (i > 0 && transcript[i] != transcript[i - 1]) start = i;
    first.push_back(std::max(start, i - window + 1));
  }
  if (!attends()) return RunningMean(rows, first);
  const at::Tensor pooled = at::empty_like(rows);
  for (int64_t i = 0; i < rows.size(0); ++i) {
    pooled[i].copy_((*this)(rows.narrow(0, first[i], i + 1 - first[i])));
  }
  return pooled;
}

}  // namespace extrospect
