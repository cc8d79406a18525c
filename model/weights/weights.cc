#include "model/weights/weights.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.h"
#include "model/files/quote.h"

namespace extrospect {
namespace {

class Loader {
 public:
  Loader(const Architecture& architecture, const TensorSource& source, const WeightOptions& options)
      : architecture_(architecture), source_(source), options_(options) {}

  at::Tensor Matrix(const std::string& name, int64_t rows, int64_t columns, at::Device device) {
    at::Tensor weight = Empty({rows, columns}, options_.dtype);
    Fill(name, weight);
    return weight.to(device);
  }

  // Several matrices stacked, so that one product serves them all; biases where they exist.
  Linear Stacked(const std::vector<std::pair<std::string, int64_t>>& parts, int64_t columns,
                 bool bias, at::Device device) {
    int64_t rows = 0;
    for (const auto& [name, part_rows] : parts) rows += part_rows;
    const bool packs = Linear::Packs(device, options_.dtype);
    // What is copied elsewhere right away needs no memory of its own.
    const at::Tensor weight = packs || !device.is_cpu() ? Staging({rows, columns})
                                                        : Empty({rows, columns}, options_.dtype);
    at::Tensor biases = bias ? Empty({rows}, options_.dtype) : at::Tensor();
    int64_t row = 0;
    for (const auto& [name, part_rows] : parts) {
      Fill(name + ".weight", weight.narrow(0, row, part_rows));
      if (bias) Fill(name + ".bias", biases.narrow(0, row, part_rows));
      row += part_rows;
    }
    Linear linear(weight.to(device), bias ? biases.to(device) : at::Tensor());
    if (packs) linear.Pack(options_.trainable);
    return linear;
  }

  at::Tensor Norm(const std::string& name, int64_t size, at::Device device) {
    at::Tensor weight = Empty({size}, NormType());
    Fill(name, weight);
    if (architecture_.norm_weight_plus_one) weight.add_(1.0);
    return weight.to(device);
  }

  // Throws if the source has tensors that were not asked for.
  void CheckAllLoaded() const {
    std::string unknown;
    int64_t count = 0;
    for (const std::string& name : source_.Names()) {
      if (loaded_.contains(name)) continue;
      if (++count <= kMaxNamed) unknown += (count > 1 ? ", " : "") + Quote(name);
    }
    if (count == 0) return;
    if (count > kMaxNamed) unknown += " and " + std::to_string(count - kMaxNamed) + " others";
    throw Error("the model holds tensors that its architecture does not have")
        .At(source_.where())
        .Expected("the tensors of a model of the family " + architecture_.family)
        .Found(unknown);
  }

 private:
  static constexpr int64_t kMaxNamed = 5;

  // Memory that serves one matrix of a block after the other.
  at::Tensor Staging(at::IntArrayRef shape) {
    const int64_t largest =
        architecture_.d_model * std::max({architecture_.qkv_size(), architecture_.q_size(),
                                          2 * architecture_.d_ff, 2 * architecture_.experts.d_ff});
    const int64_t elements = c10::multiply_integers(shape);
    if (elements > largest) return Empty(shape, options_.dtype);
    if (!staging_.defined()) staging_ = Empty({largest}, options_.dtype);
    return staging_.narrow(0, 0, elements).view(shape);
  }

  void Fill(const std::string& name, const at::Tensor& destination) {
    source_.Load(name, destination);
    loaded_.insert(name);
  }
  at::ScalarType NormType() const {
    return options_.dtype == at::kDouble ? at::kDouble : at::kFloat;
  }
  static at::Tensor Empty(at::IntArrayRef shape, at::ScalarType dtype) {
    return at::empty(shape, at::TensorOptions(dtype).device(at::kCPU));
  }

  const Architecture& architecture_;
  const TensorSource& source_;
  const WeightOptions& options_;
  std::set<std::string> loaded_;
  at::Tensor staging_;
};

BlockWeights LoadBlock(const Architecture& a, Loader& load, int64_t block, at::Device device) {
  const std::string prefix = "model.layers." + std::to_string(block) + ".";
  const std::string attention = prefix + "self_attn.", mlp = prefix + "mlp.";
  BlockWeights weights;
  weights.device = device;
  switch (a.norm_placement) {
    case NormPlacement::kPre:
      weights.attention_norm = load.Norm(prefix + "input_layernorm.weight", a.d_model, device);
      weights.mlp_norm = load.Norm(prefix + "post_attention_layernorm.weight", a.d_model, device);
      break;
    case NormPlacement::kPost:
      weights.attention_post_norm =
          load.Norm(prefix + "post_attention_layernorm.weight", a.d_model, device);
      weights.mlp_post_norm =
          load.Norm(prefix + "post_feedforward_layernorm.weight", a.d_model, device);
      break;
    case NormPlacement::kPreAndPost:
      weights.attention_norm = load.Norm(prefix + "input_layernorm.weight", a.d_model, device);
      weights.attention_post_norm =
          load.Norm(prefix + "post_attention_layernorm.weight", a.d_model, device);
      weights.mlp_norm = load.Norm(prefix + "pre_feedforward_layernorm.weight", a.d_model, device);
      weights.mlp_post_norm =
          load.Norm(prefix + "post_feedforward_layernorm.weight", a.d_model, device);
      break;
  }
  if (a.qk_norm != QkNorm::kNone) {
    const bool whole = a.qk_norm == QkNorm::kWholeProjection;
    weights.q_norm =
        load.Norm(attention + "q_norm.weight", whole ? a.q_size() : a.head_dim, device);
    weights.k_norm =
        load.Norm(attention + "k_norm.weight", whole ? a.kv_size() : a.head_dim, device);
  }
  weights.qkv = load.Stacked({{attention + "q_proj", a.q_size()},
                              {attention + "k_proj", a.kv_size()},
                              {attention + "v_proj", a.kv_size()}},
                             a.d_model, a.qkv_bias, device);
  weights.attention_out =
      load.Stacked({{attention + "o_proj", a.d_model}}, a.q_size(), false, device);
  if (a.experts.n_experts == 0 || a.blocks[block].dense) {
    weights.gate_up = load.Stacked({{mlp + "gate_proj", a.d_ff}, {mlp + "up_proj", a.d_ff}},
                                   a.d_model, false, device);
    weights.down = load.Stacked({{mlp + "down_proj", a.d_model}}, a.d_ff, false, device);
    return weights;
  }
  weights.experts.router =
      load.Stacked({{mlp + "gate", a.experts.n_experts}}, a.d_model, false, device);
  for (int64_t e = 0; e < a.experts.n_experts; ++e) {
    const std::string expert = mlp + "experts." + std::to_string(e) + ".";
    weights.experts.gate_up.push_back(
        load.Stacked({{expert + "gate_proj", a.experts.d_ff}, {expert + "up_proj", a.experts.d_ff}},
                     a.d_model, false, device));
    weights.experts.down.push_back(
        load.Stacked({{expert + "down_proj", a.d_model}}, a.experts.d_ff, false, device));
  }
  return weights;
}

}  // namespace

std::vector<at::Device> PlaceBlocks(int64_t n_blocks, const std::vector<at::Device>& devices) {
  const auto n_devices = static_cast<int64_t>(devices.size());
  std::vector<at::Device> placed;
  for (int64_t block = 0; block < n_blocks; ++block) {
    placed.push_back(devices[block * n_devices / n_blocks]);
  }
  return placed;
}

Weights LoadWeights(const Architecture& architecture, const TensorSource& source,
                    const WeightOptions& options) {
  const at::NoGradGuard no_grad;
  Loader load(architecture, source, options);
  const std::vector<at::Device> devices = PlaceBlocks(architecture.n_layers, options.devices);
  const int64_t vocab = architecture.vocab_size, d_model = architecture.d_model;
  Weights weights;
  weights.embedding = load.Matrix("model.embed_tokens.weight", vocab, d_model, devices.front());
  for (int64_t block = 0; block < architecture.n_layers; ++block) {
    weights.blocks.push_back(LoadBlock(architecture, load, block, devices[block]));
  }
  const at::Device last = devices.back();
  weights.final_norm = load.Norm("model.norm.weight", d_model, last);
  if (architecture.tied_embeddings) {
    weights.head = Linear(weights.embedding.to(last));
  } else {
    weights.head = load.Stacked({{"lm_head", vocab}}, d_model, false, last);
  }
  load.CheckAllLoaded();
  return weights;
}

}  // namespace extrospect
