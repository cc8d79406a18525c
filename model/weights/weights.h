// A model's parameters, in the layout in which the forward pass uses them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "model/config/architecture.h"
#include "model/weights/linear.h"

namespace extrospect {

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

// Where tensors come from: names as in Hugging Face files of a plain language model, values as
// there (the permuted queries of a GGUF file are put back; its norms are left shifted, see
// Architecture::norm_weight_plus_one).
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  // Fills `destination`, a contiguous CPU tensor of any floating dtype. Throws Error naming the
  // tensor if it is missing, is not of the destination's shape, or holds a value that is not
  // finite.
  virtual void Load(const std::string& name, const at::Tensor& destination) const = 0;
  // All names that mean something to a language model of this architecture, or to nobody: without
  // the vision tower of a multimodal model, say.
  virtual std::vector<std::string> Names() const = 0;
  // The file or directory, for messages.
  virtual std::string where() const = 0;
};

struct WeightOptions {
  at::ScalarType dtype = at::kFloat;
  // Blocks are placed on the devices in order, in equal parts.
  std::vector<at::Device> devices = {at::kCPU};
  // Gradients with respect to activations are wanted, to train adapters: costs memory.
  bool trainable = false;
};

// The device of every block: in order, in equal parts.
std::vector<at::Device> PlaceBlocks(int64_t n_blocks, const std::vector<at::Device>& devices);

// Loads block by block, straight to dtype and device: the model is never in memory twice. Throws
// Error naming the tensor that is missing, of another shape or not finite, or that the architecture
// has no use for (which means that the architecture is not what the file holds).
Weights LoadWeights(const Architecture& architecture, const TensorSource& source,
                    const WeightOptions& options);

class GgufFile;
class SafetensorsModel;
// The sources over a GGUF file and over the files of a Hugging Face directory, which must outlive
// them. Pages of the files are given back to the system as soon as they have been read.
std::unique_ptr<TensorSource> OpenGgufTensors(const GgufFile& file,
                                              const Architecture& architecture);
std::unique_ptr<TensorSource> OpenSafetensorsTensors(const SafetensorsModel& model,
                                                     const Architecture& architecture);

}  // namespace extrospect
