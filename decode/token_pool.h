// How the selected tokens of a transcript become one row.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace extrospect {

// By their mean, or by attention: token t weighs softmax_t(Σ_h query_h · x_{t,h}), the same for all
// hooks, so that a few tokens that tell are not drowned by the many that do not (one head of the
// attention of Yang et al. 2016, "Hierarchical Attention Networks for Document Classification",
// without its hidden layer). The mean is the query 0, and a single token is itself in either way.
class TokenPool {
 public:
  TokenPool() = default;  // the mean
  // query: [hooks, d_model] float32, on the CPU.
  explicit TokenPool(at::Tensor query) : query_(std::move(query)) {}

  bool attends() const { return query_.defined(); }
  const at::Tensor& query() const { return query_; }
  // As decoder.json says it.
  const char* name() const { return attends() ? "attention" : "mean"; }

  // tokens: [n, hooks, d_model] float32 on any device, n ≥ 1. Returns [hooks, d_model] there.
  at::Tensor operator()(const at::Tensor& tokens) const;

  // Of every row the pool over itself and up to `window` − 1 rows before it in the same transcript:
  // a decoder that was trained on pooled rows reads single tokens badly, and runs of tokens well.
  // Rows of a transcript lie together. rows: [n, hooks, d_model].
  at::Tensor Running(const at::Tensor& rows, const std::vector<uint32_t>& transcript,
                     int64_t window) const;

 private:
  at::Tensor query_;
};

// Σ_t softmax_t(tokens · query)_t · tokens, for tokens [n, features] and a query [features] that
// may be being trained. Returns [features].
at::Tensor Attend(const at::Tensor& tokens, const at::Tensor& query);

}  // namespace extrospect
