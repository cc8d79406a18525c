// Tiny random models of the families, as tests/parity/fixtures/families holds them, and random
// adapters for them.
#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "model/files/safetensors.h"
#include "model/forward/transformer.h"
#include "model/weights/adapter.h"
#include "model/weights/weights.h"

namespace extrospect::tiny {

inline const std::filesystem::path kFamilies = "tests/parity/fixtures/families";

inline Transformer Load(const std::string& family, const WeightOptions& options) {
  const std::filesystem::path folder = kFamilies / family;
  const Architecture architecture = ArchitectureFromDirectory(folder);
  const SafetensorsModel tensors(folder);
  return Transformer(
      architecture,
      LoadWeights(architecture, *OpenSafetensorsTensors(tensors, architecture), options));
}

inline at::Tensor Normal(const std::vector<int64_t>& shape, at::ScalarType dtype, uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed),
                   at::TensorOptions(at::kDouble).device(at::kCPU))
      .to(dtype);
}

// Low-rank updates of all matrices but those of experts, about a third as large as what they are
// added to; with `vectors`, vectors too.
inline Adapter RandomAdapter(const Architecture& architecture, at::ScalarType dtype,
                             bool vectors = false, int64_t rank = 3) {
  Adapter adapter;
  adapter.rank = rank;
  adapter.alpha = 2.0 * static_cast<double>(rank);
  uint64_t seed = 1;
  for (int64_t block = 0; block < architecture.n_layers; ++block) {
    BlockAdapter& to = adapter.blocks.emplace_back();
    for (size_t i = 0; i < kTargets; ++i) {
      const auto target = static_cast<Target>(i);
      if (target >= Target::kGate && architecture.experts.n_experts > 0) break;
      const auto [out, in] = TargetShape(architecture, block, target);
      to.of(target) = {Normal({rank, in}, dtype, ++seed) / std::sqrt(static_cast<double>(in)),
                       Normal({out, rank}, dtype, ++seed) * 0.1};
    }
    if (!vectors) continue;
    to.attention_vector = Normal({architecture.d_model}, dtype, ++seed) * 0.1;
    to.mlp_vector = Normal({architecture.d_model}, dtype, ++seed) * 0.1;
  }
  return adapter;
}

struct NamedTensor {
  std::string name;
  at::Tensor* tensor = nullptr;
};

// Every tensor of an adapter.
inline std::vector<NamedTensor> TensorsOf(Adapter& adapter) {
  std::vector<NamedTensor> tensors;
  const auto add = [&](const std::string& name, at::Tensor& tensor) {
    if (tensor.defined()) tensors.push_back({name, &tensor});
  };
  for (size_t block = 0; block < adapter.blocks.size(); ++block) {
    BlockAdapter& from = adapter.blocks[block];
    const std::string prefix = "block " + std::to_string(block) + ", ";
    for (size_t i = 0; i < kTargets; ++i) {
      const std::string name = prefix + TargetName(static_cast<Target>(i));
      add(name + " a", from.low_rank[i].a);
      add(name + " b", from.low_rank[i].b);
    }
    add(prefix + "attention vector", from.attention_vector);
    add(prefix + "mlp vector", from.mlp_vector);
  }
  return tensors;
}

// The derivative of loss() along a direction, by central differences, when `tensor` moves.
template <typename Loss>
double DerivativeAlong(at::Tensor& tensor, const at::Tensor& direction, const Loss& loss) {
  constexpr double kStep = 1e-5;
  const at::Tensor kept = tensor;
  tensor = kept + direction * kStep;
  const double after = loss();
  tensor = kept - direction * kStep;
  const double before = loss();
  tensor = kept;
  return (after - before) / (2 * kStep);
}

}  // namespace extrospect::tiny
