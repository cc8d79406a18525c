// The forward pass of every model family, over packed sequences, with hooks on the residual stream.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "model/config/architecture.h"
#include "model/forward/kv.h"
#include "model/forward/ops.h"
#include "model/weights/adapter.h"
#include "model/weights/weights.h"

namespace extrospect {

// Sees the residual stream [rows, d_model] (float32) after `block`; kEmbeddingBlock (−1) is the
// embedding output. The tensor is reused: copy what is to be kept.
using Observer = std::function<void(int64_t block, const at::Tensor& residual)>;

// Changes the residual stream after `block`: in place, or by assigning a new tensor.
struct Injection {
  int64_t block = 0;
  std::function<void(at::Tensor& residual)> apply;
};

struct ForwardOptions {
  // Rows of all sequences follow each other in the order of the sequences.
  std::span<const Sequence> sequences;
  // Start before `first_block`, from `residual` [rows, d_model], instead of from the tokens. Past
  // segments must hold keys and values for the blocks that run.
  int64_t first_block = 0;
  at::Tensor residual;
  // Nothing above this block is computed; kEmbeddingBlock computes the embeddings alone, −2 stands
  // for the model's last block. Logits need the last block.
  int64_t last_block = -2;
  Observer observe;
  std::vector<Injection> injections;
  const AdapterPass* adapter = nullptr;  // null: the model as it is
  // Rows whose logits are wanted.
  std::vector<int64_t> logit_rows;
};

struct ForwardResult {
  at::Tensor residual;  // [rows, d_model] float32, after the last block that ran
  at::Tensor logits;    // [logit_rows, vocab] float32; undefined if none were asked for
};

// Immutable after construction; Forward may be called from several threads. Inference runs under
// c10::InferenceMode or at::NoGradGuard of the caller's; with gradients enabled every operation
// that depends on something trained is recorded, for which the weights must have been loaded as
// trainable.
class Transformer {
 public:
  Transformer(Architecture architecture, Weights weights);

  ForwardResult Forward(const ForwardOptions& options) const;

  // Logits [rows, vocab] float32 of residual rows [rows, d_model] as if they had left the last
  // block: final norm, output matrix, soft-cap.
  at::Tensor Unembed(const at::Tensor& residual) const;
  // Those of some tokens alone, whose rows of the output matrix are given, [tokens, d_model]
  // float32: products in float32, not rounded to the model's dtype.
  at::Tensor Unembed(const at::Tensor& residual, const at::Tensor& output_rows) const;

  // Room for the keys and values of `capacity` tokens. Blocks outside [first_block, last_block] get
  // none (last_block −2: the model's last).
  std::shared_ptr<KvSegment> MakeSegment(int64_t capacity, int64_t first_block = 0,
                                         int64_t last_block = -2) const;

  const Architecture& architecture() const { return architecture_; }
  const Weights& weights() const { return weights_; }
  at::ScalarType dtype() const { return weights_.embedding.scalar_type(); }

 private:
  struct Batch;
  at::Tensor Embed(const Batch& batch) const;
  at::Tensor FinalNorm(const at::Tensor& residual, at::ScalarType dtype) const;
  at::Tensor SoftCap(const at::Tensor& logits) const;
  Batch MakeBatch(const ForwardOptions& options) const;
  at::Tensor RunAttention(int64_t block, const at::Tensor& x, Batch& batch) const;
  at::Tensor RunMlp(int64_t block, const at::Tensor& x, const Batch& batch) const;
  at::Tensor RunExperts(const ExpertWeights& experts, const at::Tensor& x) const;

  Architecture architecture_;
  Weights weights_;
  // [rope][device of weights_.blocks]
  std::vector<std::vector<std::unique_ptr<RopeAngles>>> ropes_;
  std::vector<int64_t> device_index_;  // of each block, into the above
};

}  // namespace extrospect
