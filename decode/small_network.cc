#include "decode/small_network.h"

#include <ATen/ATen.h>

#include <cmath>
#include <utility>

namespace extrospect {
namespace {

constexpr int64_t kExpansion = 4;  // of the feed-forward layers

}  // namespace

SmallNetwork::SmallNetwork(SmallShape shape, std::map<std::string, at::Tensor> tensors,
                           at::Tensor word_ids)
    : shape_(shape), tensors_(std::move(tensors)), word_ids_(std::move(word_ids)) {}

std::map<std::string, std::vector<int64_t>> SmallNetwork::Shapes(const SmallShape& shape) {
  const int64_t d = shape.width;
  std::map<std::string, std::vector<int64_t>> shapes = {
      {"mean", {shape.features}},
      {"scale", {shape.features}},
      {"project", {shape.rank, shape.features}},
      {"prefix.weight", {shape.prefix * d, shape.rank}},
      {"prefix.bias", {shape.prefix * d}},
      {"condition.weight", {d, shape.rank}},
      {"embedding", {shape.vocabulary, d}},
      {"position", {shape.prefix + shape.max_tokens, d}},
      {"norm.weight", {d}},
      {"norm.bias", {d}},
      {"mixing", {shape.words, shape.words}},
  };
  for (int64_t i = 0; i < shape.layers; ++i) {
    const std::string layer = "layer." + std::to_string(i) + ".";
    const auto linear = [&](const std::string& name, int64_t out, int64_t in) {
      shapes[layer + name + ".weight"] = {out, in};
      shapes[layer + name + ".bias"] = {out};
    };
    for (const char* const norm : {"norm1", "norm2"}) {
      shapes[layer + norm + ".weight"] = {d};
      shapes[layer + norm + ".bias"] = {d};
    }
    linear("qkv", 3 * d, d);
    linear("out", d, d);
    linear("up", kExpansion * d, d);
    linear("down", d, kExpansion * d);
  }
  return shapes;
}

bool SmallNetwork::IsTrained(const std::string& name) {
  return name != "mean" && name != "scale" && name != "project" && name != "mixing";
}

at::Tensor SmallNetwork::Coordinates(const at::Tensor& rows) const {
  return at::mm((rows - Get("mean")) * Get("scale"), Get("project").t());
}

at::Tensor SmallNetwork::Dropped(const at::Tensor& x, const Noise& noise) const {
  if (noise.dropout <= 0) return x;
  // Drawn on the CPU, so that every device sees the same.
  const at::Tensor keep = at::empty(x.sizes(), at::TensorOptions(at::kFloat).device(at::kCPU))
                              .bernoulli_(1 - noise.dropout, noise.generator);
  return x * keep.to(x.device()) / (1 - noise.dropout);
}

at::Tensor SmallNetwork::Norm(const std::string& name, const at::Tensor& x) const {
  return at::layer_norm(x, {shape_.width}, Get(name + ".weight"), Get(name + ".bias"));
}

at::Tensor SmallNetwork::Linear(const std::string& name, const at::Tensor& x) const {
  return at::linear(x, Get(name + ".weight"), Get(name + ".bias"));
}

at::Tensor SmallNetwork::Embedding() const {
  const at::Tensor& plain = Get("embedding");
  const at::Tensor own = plain.index_select(0, word_ids_);
  return plain.index_copy(0, word_ids_, own + at::mm(Get("mixing"), own));
}

at::Tensor SmallNetwork::Prefix(const at::Tensor& coordinates) const {
  const at::Tensor vectors = Linear("prefix", coordinates);
  return vectors.reshape({coordinates.size(0), shape_.prefix, shape_.width}) +
         Get("position").narrow(0, 0, shape_.prefix);
}

at::Tensor SmallNetwork::Embed(const at::Tensor& tokens, int64_t position,
                               const at::Tensor& coordinates) const {
  return at::embedding(Embedding(), tokens) * std::sqrt(static_cast<double>(shape_.width)) +
         Get("position").narrow(0, shape_.prefix + position, tokens.size(1)) +
         at::mm(coordinates, Get("condition.weight").t()).unsqueeze(1);
}

at::Tensor SmallNetwork::Block(int64_t layer, const at::Tensor& x, SmallCache* cache,
                               const Noise& noise) const {
  const std::string name = "layer." + std::to_string(layer) + ".";
  const int64_t n = x.size(0), t = x.size(1);
  const int64_t head = shape_.width / shape_.heads;
  const at::Tensor qkv = Linear(name + "qkv", Norm(name + "norm1", x))
                             .reshape({n, t, 3, shape_.heads, head})
                             .permute({2, 0, 3, 1, 4});  // [3, n, heads, t, head]
  const at::Tensor q = qkv.select(0, 0);
  at::Tensor k = qkv.select(0, 1), v = qkv.select(0, 2);
  int64_t before = 0;
  if (cache != nullptr) {
    const auto index = static_cast<size_t>(layer);
    if (cache->keys.size() <= index) {
      cache->keys.push_back(k);
      cache->values.push_back(v);
    } else {
      before = cache->keys[index].size(2);
      cache->keys[index] = at::cat({cache->keys[index], k}, 2);
      cache->values[index] = at::cat({cache->values[index], v}, 2);
    }
    k = cache->keys[index];
    v = cache->values[index];
  }
  // Token i sees everything up to before + i.
  at::Tensor scores = at::matmul(q, k.transpose(2, 3)) / std::sqrt(static_cast<double>(head));
  if (t > 1) {
    const at::Tensor later =
        at::ones({t, before + t}, x.options().dtype(at::kBool)).triu(before + 1);
    scores = scores.masked_fill(later, -1e30);
  }
  const at::Tensor mixed =
      at::matmul(at::softmax(scores, -1), v).transpose(1, 2).reshape({n, t, shape_.width});
  const at::Tensor y = x + Dropped(Linear(name + "out", mixed), noise);
  const at::Tensor up = at::gelu(Linear(name + "up", Norm(name + "norm2", y)));
  return y + Dropped(Linear(name + "down", up), noise);
}

at::Tensor SmallNetwork::Hidden(const at::Tensor& coordinates, const at::Tensor& tokens,
                                const Noise& noise) const {
  at::Tensor x = Dropped(at::cat({Prefix(coordinates), Embed(tokens, 0, coordinates)}, 1), noise);
  for (int64_t layer = 0; layer < shape_.layers; ++layer) x = Block(layer, x, nullptr, noise);
  return Norm("norm", x);
}

at::Tensor SmallNetwork::Continue(const at::Tensor& embedded, SmallCache& cache) const {
  at::Tensor x = embedded;
  for (int64_t layer = 0; layer < shape_.layers; ++layer) x = Block(layer, x, &cache, Noise());
  return Norm("norm", x);
}

at::Tensor SmallNetwork::Logits(const at::Tensor& hidden) const {
  return at::matmul(hidden, Embedding().t());
}

at::Tensor SmallNetwork::WordLogits(const at::Tensor& hidden) const {
  return at::matmul(hidden, Embedding().index_select(0, word_ids_).t());
}

}  // namespace extrospect
