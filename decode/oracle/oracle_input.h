// From activation rows to the vectors that are injected.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>

namespace extrospect {

// All float32, on one device. Every hook's row, centred, is one vector; it may pass through a
// trained map of its own. More vectors may be what all rows together attend to among the words of
// the lexicon: Σ pᵢ · codeᵢ with p = softmax(β · (keys · x + key_bias)), one for each sharpness β:
// a high one brings out the best words, a low one the whole profile. A vector may weigh only some
// of the words: what comes second is not seen beside a first that has nearly all the weight. An
// affine input is s · x + b instead, for vectors that replace what they meet (arXiv 2602.10352).
struct OracleInput {
  at::Tensor mean;       // [hooks, d_model], over the training rows
  at::Tensor map;        // [hooks, d_model, d_model], or undefined: the identity
  at::Tensor keys;       // [classes, hooks · d_model], or undefined: no such vectors
  at::Tensor key_bias;   // [classes], with keys
  at::Tensor codes;      // [classes, d_model], with keys
  at::Tensor sharpness;  // [k], with keys
  at::Tensor left_out;   // [k, classes], 1 for words that a vector leaves out; undefined: none
  at::Tensor scale;      // [hooks], or undefined: not affine
  at::Tensor bias;       // [hooks, d_model], with scale

  // How many vectors a question takes.
  int64_t n_vectors() const { return mean.size(0) + (keys.defined() ? sharpness.size(0) : 0); }

  // rows: [n, hooks, d_model] float32. Returns [n, n_vectors, d_model], those of the words first.
  at::Tensor Vectors(const at::Tensor& rows) const { return Vectors(rows, Scores(rows)); }

  // keys · x + key_bias, [n, classes]; without keys, undefined.
  at::Tensor Scores(const at::Tensor& rows) const;
  // The vectors with such scores from elsewhere.
  at::Tensor Vectors(const at::Tensor& rows, const at::Tensor& scores) const;

  // The tensors that are defined, by name: "input.mean", …
  std::map<std::string, at::Tensor> Named() const;
};

}  // namespace extrospect
