#include "model/forward/transformer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/error.h"
#include "model/hooks.h"
#include "model/index_tensor.h"

namespace extrospect {
namespace {

constexpr int64_t kModelsLastBlock = -2;

// Rows that the MLP takes at a time: its hidden layer then stays in the cache.
constexpr int64_t kMlpRows = 1024;

}  // namespace

// The host-side plan of one forward pass.
struct Transformer::Batch {
  std::span<const Sequence> sequences;
  const AdapterPass* adapter = nullptr;
  std::vector<int64_t> first_rows;
  std::vector<int64_t> n_past;  // of each sequence, its parent's included
  int64_t rows = 0;
  std::vector<at::Tensor> positions;           // per device index
  std::vector<std::vector<RopeTable>> angles;  // [rope][device index]
  at::Tensor tokens;
  // By window and device index: see ops.h.
  std::map<std::pair<int64_t, int64_t>, std::optional<AttentionPlan>> attention_plans;

  // What a projection of a block writes, `y` from `x`, with the adapter's part.
  at::Tensor Adapted(int64_t block, AdapterPass::Place place, const at::Tensor& x,
                     at::Tensor y) const {
    return adapter == nullptr ? y : adapter->Add(block, place, x, std::move(y));
  }
};

Transformer::Transformer(Architecture architecture, Weights weights)
    : architecture_(std::move(architecture)), weights_(std::move(weights)) {
  std::vector<at::Device> devices;
  for (const BlockWeights& block : weights_.blocks) {
    const auto found = std::find(devices.begin(), devices.end(), block.device);
    device_index_.push_back(found - devices.begin());
    if (found == devices.end()) devices.push_back(block.device);
  }
  for (const Rope& rope : architecture_.ropes) {
    std::vector<std::unique_ptr<RopeAngles>>& tables = ropes_.emplace_back();
    for (const at::Device device : devices) {
      tables.push_back(std::make_unique<RopeAngles>(rope, architecture_.head_dim, dtype(), device));
    }
  }
}

std::shared_ptr<KvSegment> Transformer::MakeSegment(int64_t capacity, int64_t first_block,
                                                    int64_t last_block) const {
  auto segment = std::make_shared<KvSegment>();
  segment->capacity = capacity;
  segment->keys.resize(architecture_.n_layers);
  segment->values.resize(architecture_.n_layers);
  if (last_block == kModelsLastBlock) last_block = architecture_.n_layers - 1;
  for (int64_t block = first_block; block <= last_block; ++block) {
    const auto options = at::TensorOptions(dtype()).device(weights_.blocks[block].device);
    segment->keys[block] = at::empty({capacity, architecture_.kv_size()}, options);
    segment->values[block] = at::empty({capacity, architecture_.kv_size()}, options);
  }
  return segment;
}

at::Tensor Transformer::Embed(const Batch& batch) const {
  at::Tensor residual = weights_.embedding.index_select(0, batch.tokens);
  if (architecture_.embedding_scale != 1.0) {
    // The factor is rounded to the compute dtype first, as the reference implementation does.
    residual = residual * at::full({}, architecture_.embedding_scale, residual.options());
  }
  return residual.to(dtype() == at::kDouble ? at::kDouble : at::kFloat);
}

at::Tensor Transformer::RunAttention(int64_t block, const at::Tensor& x, Batch& batch) const {
  using Place = AdapterPass::Place;
  const BlockWeights& weights = weights_.blocks[block];
  const BlockKind& kind = architecture_.blocks[block];
  const int64_t device = device_index_[block];
  const int64_t q_size = architecture_.q_size(), kv_size = architecture_.kv_size();
  const at::Tensor qkv =
      NormAndRotate(batch.Adapted(block, Place::kQkv, x, weights.qkv(x)), batch.positions[device],
                    batch.angles[kind.rope][device], weights.q_norm, weights.k_norm, architecture_);
  std::vector<AttentionSpan> spans(batch.sequences.size());
  for (size_t i = 0; i < batch.sequences.size(); ++i) {
    const Sequence& sequence = batch.sequences[i];
    AttentionSpan& span = spans[i];
    span.first_row = batch.first_rows[i];
    span.n_rows = static_cast<int64_t>(sequence.tokens.size());
    span.n_past = batch.n_past[i];
    std::vector<int64_t> ancestors;
    for (int64_t at = sequence.parent; at >= 0; at = batch.sequences[at].parent) {
      ancestors.push_back(at);
    }
    const auto see = [&](const KvSegment& segment) {
      if (segment.length == 0) return;
      span.past.push_back({segment.keys[block].narrow(0, 0, segment.length),
                           segment.values[block].narrow(0, 0, segment.length)});
    };
    for (auto ancestor = ancestors.rbegin(); ancestor != ancestors.rend(); ++ancestor) {
      const Sequence& parent = batch.sequences[*ancestor];
      for (const auto& segment : parent.past) see(*segment);
      if (parent.append) see(*parent.append);
      span.past.push_back(
          {{}, {}, batch.first_rows[*ancestor], static_cast<int64_t>(parent.tokens.size())});
    }
    for (const auto& segment : sequence.past) see(*segment);
    if (sequence.append) {
      KvSegment& segment = *sequence.append;
      see(segment);
      const at::Tensor own = qkv.narrow(0, span.first_row, span.n_rows);
      segment.keys[block]
          .narrow(0, segment.length, span.n_rows)
          .copy_(own.narrow(1, q_size, kv_size));
      segment.values[block]
          .narrow(0, segment.length, span.n_rows)
          .copy_(own.narrow(1, q_size + kv_size, kv_size));
    }
  }
  const at::Tensor attended = Attention(qkv, spans, kind.window, architecture_,
                                        batch.attention_plans[{kind.window, device}]);
  return batch.Adapted(block, Place::kAttentionOut, attended, weights.attention_out(attended));
}

at::Tensor Transformer::RunMlp(int64_t block, const at::Tensor& x, const Batch& batch) const {
  using Place = AdapterPass::Place;
  const BlockWeights& weights = weights_.blocks[block];
  if (weights.experts.router.defined()) {
    return batch.Adapted(block, Place::kDown, {}, RunExperts(weights.experts, x));
  }
  const auto run = [&](const at::Tensor& rows) {
    const at::Tensor hidden =
        GatedActivation(batch.Adapted(block, Place::kGateUp, rows, weights.gate_up(rows)),
                        architecture_.activation);
    return batch.Adapted(block, Place::kDown, hidden, weights.down(hidden));
  };
  if (x.size(0) <= kMlpRows || c10::GradMode::is_enabled()) return run(x);
  at::Tensor out = at::empty({x.size(0), architecture_.d_model}, x.options());
  for (int64_t row = 0; row < x.size(0); row += kMlpRows) {
    const int64_t rows = std::min(kMlpRows, x.size(0) - row);
    out.narrow(0, row, rows).copy_(run(x.narrow(0, row, rows)));
  }
  return out;
}

at::Tensor Transformer::RunExperts(const ExpertWeights& experts, const at::Tensor& x) const {
  const MixtureOfExperts& config = architecture_.experts;
  const auto wide = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor probabilities = at::softmax(experts.router(x).to(wide), -1);
  auto [weights, chosen] = at::topk(probabilities, config.n_active, -1);
  if (config.normalize_weights) weights = weights / weights.sum(-1, true);
  weights = weights.to(x.scalar_type());
  at::Tensor out = at::zeros_like(x);
  // One copy to the host tells which experts have work.
  const at::Tensor counts = at::bincount(chosen.flatten(), {}, config.n_experts).to(at::kCPU);
  const int64_t* const count = counts.const_data_ptr<int64_t>();
  for (int64_t expert = 0; expert < config.n_experts; ++expert) {
    if (count[expert] == 0) continue;
    const auto places = (chosen == expert).nonzero_numpy();  // rows, and which of the choices
    const at::Tensor hidden = GatedActivation(experts.gate_up[expert](x.index_select(0, places[0])),
                                              architecture_.activation);
    const at::Tensor weight = weights.index({places[0], places[1]}).unsqueeze(-1);
    out = out.index_add(0, places[0], experts.down[expert](hidden) * weight);
  }
  return out;
}

at::Tensor Transformer::FinalNorm(const at::Tensor& residual, at::ScalarType dtype) const {
  at::Tensor rows = residual.to(weights_.blocks.back().device).contiguous();
  return AddAndNorm(rows, {}, {}, weights_.final_norm, architecture_.norm_eps, dtype);
}

at::Tensor Transformer::SoftCap(const at::Tensor& logits) const {
  const double cap = architecture_.final_softcap;
  return cap > 0 ? at::tanh(logits / cap) * cap : logits;
}

at::Tensor Transformer::Unembed(const at::Tensor& residual) const {
  const at::Tensor logits = weights_.head(FinalNorm(residual, dtype()));
  return SoftCap(logits.scalar_type() == at::kDouble ? logits : logits.to(at::kFloat));
}

at::Tensor Transformer::Unembed(const at::Tensor& residual, const at::Tensor& output_rows) const {
  return SoftCap(at::linear(FinalNorm(residual, output_rows.scalar_type()), output_rows));
}

Transformer::Batch Transformer::MakeBatch(const ForwardOptions& options) const {
  Batch batch;
  batch.sequences = options.sequences;
  batch.adapter = options.adapter;
  std::vector<int64_t> tokens, positions;
  for (size_t i = 0; i < options.sequences.size(); ++i) {
    const Sequence& sequence = options.sequences[i];
    batch.first_rows.push_back(static_cast<int64_t>(tokens.size()));
    int64_t n_past = sequence.n_past();
    if (sequence.parent >= 0) {
      if (sequence.parent >= static_cast<int64_t>(i)) {
        throw Error("a sequence continues one that does not come before it in the batch");
      }
      n_past += batch.n_past[sequence.parent] +
                static_cast<int64_t>(options.sequences[sequence.parent].tokens.size());
    }
    batch.n_past.push_back(n_past);
    const auto n_new = static_cast<int64_t>(sequence.tokens.size());
    if (n_past + n_new > architecture_.context_length) {
      throw Error("a sequence is longer than the model's context")
          .Expected("at most " + std::to_string(architecture_.context_length) + " tokens")
          .Found(std::to_string(n_past + n_new) + " tokens");
    }
    if (sequence.append && sequence.append->length + n_new > sequence.append->capacity) {
      throw Error("a segment of keys and values is full");
    }
    for (int64_t t = 0; t < n_new; ++t) {
      const int32_t token = sequence.tokens[t];
      if (token < 0 || token >= architecture_.vocab_size) {
        throw Error("a token is not in the model's vocabulary").Found(std::to_string(token));
      }
      tokens.push_back(token);
      positions.push_back(n_past + t);
    }
  }
  batch.rows = static_cast<int64_t>(tokens.size());
  batch.tokens = IndexTensor(tokens, weights_.embedding.device());
  for (size_t block = 0; block < weights_.blocks.size(); ++block) {
    if (device_index_[block] == static_cast<int64_t>(batch.positions.size())) {
      batch.positions.push_back(IndexTensor(positions, weights_.blocks[block].device));
    }
  }

  const int64_t n_positions =
      positions.empty() ? 0 : *std::max_element(positions.begin(), positions.end()) + 1;
  for (const auto& tables : ropes_) {
    std::vector<RopeTable>& angles = batch.angles.emplace_back();
    for (const auto& table : tables) angles.push_back(table->Upto(n_positions));
  }
  return batch;
}

ForwardResult Transformer::Forward(const ForwardOptions& options) const {
  const int64_t last_block =
      options.last_block == kModelsLastBlock ? architecture_.n_layers - 1 : options.last_block;
  Batch batch = MakeBatch(options);
  at::Tensor residual = options.residual;
  const auto visit = [&](int64_t block) {
    for (const Injection& injection : options.injections) {
      if (injection.block == block) injection.apply(residual);
    }
    if (options.observe) options.observe(block, residual);
  };
  // The residual is changed in place from here on.
  if (residual.defined()) {
    residual = residual.clone();
  } else {
    residual = Embed(batch);
    visit(kEmbeddingBlock);
  }

  const double eps = architecture_.norm_eps;
  at::Tensor x;  // what the block reads; undefined: its norm has yet to be computed
  for (int64_t block = options.first_block; block <= last_block; ++block) {
    const BlockWeights& weights = weights_.blocks[block];
    if (!x.defined()) {
      residual = residual.to(weights.device);
      x = AddAndNorm(residual, {}, {}, weights.attention_norm, eps, dtype());
    }
    const at::Tensor attended = RunAttention(block, x, batch);
    x = AddAndNorm(residual, attended, weights.attention_post_norm, weights.mlp_norm, eps, dtype());
    const at::Tensor hidden = RunMlp(block, x, batch);
    // The next block's norm is taken in the same pass over memory, unless something comes between.
    const bool fuse = block < last_block && weights_.blocks[block + 1].device == weights.device &&
                      std::none_of(options.injections.begin(), options.injections.end(),
                                   [&](const Injection& i) { return i.block == block; });
    x = AddAndNorm(residual, hidden, weights.mlp_post_norm,
                   fuse ? weights_.blocks[block + 1].attention_norm : at::Tensor(), eps, dtype());
    if (!fuse) x = at::Tensor();
    visit(block);
  }
  for (const Sequence& sequence : options.sequences) {
    if (sequence.append) {
      sequence.append->length += static_cast<int64_t>(sequence.tokens.size());
    }
  }
  ForwardResult result{residual, {}};
  if (!options.logit_rows.empty()) {
    result.logits =
        Unembed(residual.index_select(0, IndexTensor(options.logit_rows, residual.device())));
  }
  return result;
}

}  // namespace extrospect
