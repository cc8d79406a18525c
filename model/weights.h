// A model's parameters, in the layout in which the forward pass uses them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "model/architecture.h"

namespace extrospect {

// y = x Wᵀ + b. On the CPU a bfloat16 weight can be packed once into the layout that its matrix
// kernel wants, which saves a copy on every call; a packed weight has no gradient with respect to
// x.
class Linear {
 public:
  Linear() = default;
  Linear(at::Tensor weight, at::Tensor bias = {});

  // x: [rows, in] in the weight's dtype. Returns [rows, out].
  at::Tensor operator()(const at::Tensor& x) const;

  // Packs the weight if that helps on its device and dtype. The plain weight is given up.
  void Pack();

  bool defined() const { return weight_.defined(); }
  const at::Tensor& weight() const { return weight_; }
  int64_t out_features() const { return out_features_; }

 private:
  at::Tensor weight_, bias_;
  int64_t out_features_ = 0;
  bool packed_ = false;
};

struct ExpertWeights {
  Linear router;                // [n_experts, d_model]
  std::vector<Linear> gate_up;  // per expert [2 * d_ff, d_model]
  std::vector<Linear> down;     // per expert [d_model, d_ff]
};

// Norm weights are float32 whatever the compute dtype; they are multiplied in float32.
struct BlockWeights {
  at::Tensor attention_norm, attention_post_norm;  // undefined where the family has none
  at::Tensor mlp_norm, mlp_post_norm;
  at::Tensor q_norm, k_norm;
  Linear qkv, attention_out;
  Linear gate_up, down;  // undefined in a block of experts
  ExpertWeights experts;
  at::Device device = at::kCPU;
};

struct Weights {
  at::Tensor embedding;  // [vocab, d_model]
  std::vector<BlockWeights> blocks;
  at::Tensor final_norm;
  Linear head;  // [vocab, d_model]
};

// Where tensors come from: names as in Hugging Face files, values as there (a GGUF file's permuted
// queries and shifted norms are put back).
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  virtual bool Has(const std::string& name) const = 0;
  // Fills `destination`, a contiguous CPU tensor of any floating dtype. Throws Error naming the
  // tensor if it is missing, is not of the destination's shape, or holds a value that is not
  // finite.
  virtual void Load(const std::string& name, at::Tensor destination) const = 0;
  // Names of all tensors, for telling the user of those that nothing asked for.
  virtual std::vector<std::string> Names() const = 0;
};

struct WeightOptions {
  at::ScalarType dtype = at::kFloat;
  // Blocks are placed on the devices in order, in equal parts.
  std::vector<at::Device> devices = {at::kCPU};
  // Keep the weights differentiable: needed to train adapters, slower otherwise.
  bool trainable = false;
};

// Loads block by block, straight to dtype and device: the model is never in memory twice.
Weights LoadWeights(const Architecture& architecture, const TensorSource& source,
                    const WeightOptions& options);

class GgufFile;
// The source over a GGUF file, which must outlive it.
std::unique_ptr<TensorSource> OpenGgufTensors(const GgufFile& file,
                                              const Architecture& architecture);

}  // namespace extrospect
