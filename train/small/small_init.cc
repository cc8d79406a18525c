#include "train/small/small_init.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"

namespace extrospect {
namespace {

constexpr double kPositionDeviation = 0.1;
constexpr double kWordScale = 0.3;  // of the words' embeddings to their rows' means

at::Tensor NormalTensor(const std::vector<int64_t>& shape, double deviation, RandomStream random) {
  at::Tensor tensor = at::empty(shape, at::TensorOptions(at::kFloat).device(at::kCPU));
  float* const data = tensor.data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    data[i] = static_cast<float>(deviation * random.Normal());
  }
  return tensor;
}

at::Tensor InitialTensor(const std::string& name, const std::vector<int64_t>& shape,
                         const SmallShape& network, uint64_t seed) {
  const auto options = at::TensorOptions(at::kFloat).device(at::kCPU);
  if (name.ends_with(".bias")) return at::zeros(shape, options);
  if (name.find("norm") != name.npos) return at::ones(shape, options);
  // Where there is room, coordinates keep their axes.
  if (name == "condition.weight") return at::eye(shape[0], shape[1], options);
  double deviation = kPositionDeviation;
  if (name == "prefix.weight" || name == "embedding" || name.starts_with("layer.")) {
    deviation = 1.0 / std::sqrt(static_cast<double>(shape.back()));
    // Residual branches start small (Radford et al. 2019).
    if (name.ends_with("out.weight") || name.ends_with("down.weight")) {
      deviation /= std::sqrt(2.0 * static_cast<double>(network.layers));
    }
  }
  return NormalTensor(shape, deviation, RandomStream(seed, "small/init/" + name));
}

}  // namespace

std::map<std::string, at::Tensor> InitialTensors(const SmallShape& shape,
                                                 const std::map<std::string, at::Tensor>& given,
                                                 uint64_t seed, at::Device device) {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, sizes] : SmallNetwork::Shapes(shape)) {
    const auto found = given.find(name);
    const at::Tensor value =
        found != given.end() ? found->second : InitialTensor(name, sizes, shape, seed);
    // Inference tensors cannot take part in a graph, hence the copy.
    tensors[name] = at::empty(sizes, at::TensorOptions(at::kFloat).device(device)).copy_(value);
  }
  return tensors;
}

void PlaceWords(at::Tensor embedding, const at::Tensor& word_ids, const at::Tensor& coordinates,
                const at::Tensor& word_targets) {
  const at::Tensor counts = word_targets.sum(0).unsqueeze(1);
  const at::Tensor total = word_targets.sum();
  at::Tensor means = at::mm(word_targets.t(), coordinates) / counts.clamp_min(1);
  const at::Tensor centre = (means * counts).sum(0) / total.clamp_min(1);
  means = (means - centre) * (counts > 0);
  const int64_t shared = std::min(means.size(1), embedding.size(1));
  at::Tensor rows = at::zeros({word_ids.size(0), embedding.size(1)}, embedding.options());
  rows.narrow(1, 0, shared).copy_(means.narrow(1, 0, shared) * kWordScale);
  embedding.index_copy_(0, word_ids, rows);
}

void PlaceUnseenWords(const SmallNetwork& network, const at::Tensor& word_ids,
                      const at::Tensor& unseen, double scale) {
  const at::NoGradGuard no_grad;
  at::Tensor embedding = network.Get("embedding");
  at::Tensor own = embedding.index_select(0, word_ids).masked_fill(unseen.unsqueeze(1), 0);
  const at::Tensor taken = at::mm(network.Get("mixing"), own);
  const at::Tensor lengths = (own + taken).norm(2, {1}).masked_fill(unseen, 0);
  const double seen = unseen.logical_not().sum().item<double>();
  const double length = lengths.sum().item<double>() / std::max(seen, 1.0);
  const at::Tensor wanted =
      taken * (scale * length / taken.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-9));
  own = at::where(unseen.unsqueeze(1), wanted - taken, own);
  embedding.index_copy_(0, word_ids, own);
}

}  // namespace extrospect
