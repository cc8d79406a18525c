// What is trained on top of a frozen model: low-rank updates of its matrices (LoRA, Hu et al. 2021)
// and vectors added to what its blocks write.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/config/architecture.h"

namespace extrospect {

// The matrices of a block that can be adapted, by their names in Hugging Face models.
enum class Target { kQ, kK, kV, kO, kGate, kUp, kDown };
inline constexpr size_t kTargets = 7;

std::string TargetName(Target target);  // "q_proj", …
// Throws UsageError naming the known ones.
Target ParseTarget(std::string_view name);

// W + scale · b a. Both float32 (float64 in a float64 model), on the device of their block.
struct LowRank {
  at::Tensor a;  // [rank, in]
  at::Tensor b;  // [out, rank]
};

struct BlockAdapter {
  std::array<LowRank, kTargets> low_rank;   // by Target; undefined where nothing is adapted
  at::Tensor attention_vector, mlp_vector;  // [d_model], added to what attention and MLP write

  const LowRank& of(Target target) const { return low_rank[static_cast<size_t>(target)]; }
  LowRank& of(Target target) { return low_rank[static_cast<size_t>(target)]; }
};

struct Adapter {
  int64_t rank = 0;
  double alpha = 0.0;
  std::vector<BlockAdapter> blocks;  // one for each of the model's

  double scale() const { return rank > 0 ? alpha / static_cast<double>(rank) : 0.0; }
  bool Has(Target target) const;
};

// Rows and columns of a target's matrix. Throws UsageError for the MLP of a block of experts, which
// cannot be adapted.
std::pair<int64_t, int64_t> TargetShape(const Architecture& architecture, int64_t block,
                                        Target target);

struct AdapterDropout {
  double p = 0.0;  // of the low-rank updates' inputs; one mask for the parts of a projection
  std::optional<at::Generator> generator;
};

// An adapter made ready for forward passes in one dtype: the parts of fused projections joined.
// Built anew for every training step, since it is part of the graph. Immutable.
class AdapterPass {
 public:
  AdapterPass(const Adapter& adapter, const Architecture& architecture, at::ScalarType dtype,
              AdapterDropout dropout = {});

  enum class Place { kQkv, kAttentionOut, kGateUp, kDown };
  // `y`, what the block's matrix made of `x`, with the adapter's part added. May change y in place
  // where no gradients are recorded.
  at::Tensor Add(int64_t block, Place place, const at::Tensor& x, at::Tensor y) const;

 private:
  struct Part {
    at::Tensor a, b;    // a of the parts on top of each other, b block-diagonal and scaled
    at::Tensor vector;  // [out]
  };
  std::vector<std::array<Part, 4>> blocks_;
  AdapterDropout dropout_;
};

}  // namespace extrospect
