// The network of the small decoder: activation coordinates become a soft prefix, which a small
// causal transformer continues with a sentence.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace extrospect {

struct SmallShape {
  int64_t features = 0;  // hooks · d_model
  int64_t rank = 128;    // coordinates that the features are projected to
  int64_t prefix = 4;    // soft-prefix vectors
  int64_t width = 128;   // of the transformer's residual stream
  int64_t layers = 2;
  int64_t heads = 4;
  int64_t vocabulary = 0;
  int64_t words = 0;        // symbols of lexicon words within the vocabulary
  int64_t max_tokens = 64;  // of a sentence, begin and end included
};

// Keys and values of what was already read, by layer: [batch, heads, length, width / heads].
struct SmallCache {
  std::vector<at::Tensor> keys, values;
};

// Pre-norm transformer (Xiong et al. 2020) with learned positions and tied embeddings (times the
// root of the width where they come in; Vaswani et al. 2017). All float32. Its tensors:
//   mean, scale       [features]           standardise the rows
//   project           [rank, features]     fixed: coordinates in which rows of one class vary by
//                                          about 1 in every direction
//   prefix.weight/bias [prefix · width, rank]
//   condition.weight  [width, rank]        added to every token's embedding
//   embedding         [vocabulary, width];   position [prefix + max_tokens, width]
//   layer.I.{norm1,norm2}.{weight,bias}, .qkv.{weight,bias}, .out.…, .up.…, .down.…
//   norm.{weight,bias}
//   mixing            [words, words]       fixed: what a lexicon word's embedding takes from those
//                                          of its neighbours
class SmallNetwork {
 public:
  // `word_ids` [words] int64: the symbols of the lexicon's words. Everything on one device.
  SmallNetwork(SmallShape shape, std::map<std::string, at::Tensor> tensors, at::Tensor word_ids);

  // Names and shapes of all tensors.
  static std::map<std::string, std::vector<int64_t>> Shapes(const SmallShape& shape);
  // Whether a tensor is learned by gradient.
  static bool IsTrained(const std::string& name);

  const SmallShape& shape() const { return shape_; }
  const std::map<std::string, at::Tensor>& tensors() const { return tensors_; }
  const at::Tensor& Get(const std::string& name) const { return tensors_.at(name); }

  // Rows [n, features] to coordinates [n, rank].
  at::Tensor Coordinates(const at::Tensor& rows) const;

  struct Noise {
    double dropout = 0.0;
    std::optional<at::Generator> generator;  // of the CPU
  };
  // Final hidden states, normed, [n, prefix + length, width] of whole sequences: coordinates [n,
  // rank] and token ids [n, length].
  at::Tensor Hidden(const at::Tensor& coordinates, const at::Tensor& tokens,
                    const Noise& noise) const;
  // Reads on from the cache, which grows. `embedded` is [n, t, width] (see Prefix and Embed).
  at::Tensor Continue(const at::Tensor& embedded, SmallCache& cache) const;
  at::Tensor Prefix(const at::Tensor& coordinates) const;  // [n, prefix, width]
  // The first of `tokens` [n, t] is the sentence's token number `position`. Returns [n, t, width].
  at::Tensor Embed(const at::Tensor& tokens, int64_t position, const at::Tensor& coordinates) const;
  // Scores of every next token for hidden states [..., width]: [..., vocabulary].
  at::Tensor Logits(const at::Tensor& hidden) const;
  // The same for the lexicon's words alone: [..., words].
  at::Tensor WordLogits(const at::Tensor& hidden) const;

 private:
  at::Tensor Block(int64_t layer, const at::Tensor& x, SmallCache* cache, const Noise& noise) const;
  at::Tensor Dropped(const at::Tensor& x, const Noise& noise) const;
  at::Tensor Norm(const std::string& name, const at::Tensor& x) const;
  at::Tensor Linear(const std::string& name, const at::Tensor& x) const;
  at::Tensor Embedding() const;

  SmallShape shape_;
  std::map<std::string, at::Tensor> tensors_;
  at::Tensor word_ids_;
};

}  // namespace extrospect
