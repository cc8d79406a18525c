// The cheapest decoder: rows are standardised and mapped linearly to the lexicon's classes, and to
// valence and arousal; a hidden layer beside the linear map is optional. Its sentence is a
// template.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "decode/decoder.h"
#include "decode/load.h"

namespace extrospect {

// F = hooks · d_model features: the hooks' rows side by side. All float32.
struct ProbeWeights {
  at::Tensor mean;           // [F], over the training rows
  at::Tensor scale;          // [F], 1 / standard deviation
  at::Tensor weight, bias;   // [classes, F], [classes]
  at::Tensor affect_weight;  // [2, F]: valence, arousal
  at::Tensor affect_bias;    // [2]
  // The hidden layer of H units; undefined: there is none.
  at::Tensor hidden_weight = {}, hidden_bias = {};  // [H, F], [H]
  at::Tensor hidden_out = {};                       // [classes, H]

  // Scores of standardised features [n, F]: weight · x + bias, and where there is a hidden layer
  // hidden_out · relu(hidden_weight · x + hidden_bias) besides. [n, classes].
  at::Tensor Logits(const at::Tensor& features) const;

  std::map<std::string, at::Tensor> Named() const;
};

class Probe : public Decoder {
 public:
  // Weights must have the shapes above; they are on the device that rows are scored on.
  Probe(DecoderInfo info, ProbeWeights weights);

  // Throws Error if weights.safetensors does not fit decoder.json.
  static std::unique_ptr<Probe> Load(const DecoderFile& file, const std::filesystem::path& weights,
                                     at::Device device);

  // [n, F] standardised.
  static at::Tensor Standardise(const at::Tensor& rows, const at::Tensor& mean,
                                const at::Tensor& scale);

 protected:
  Scores ReadRows(const at::Tensor& rows, const std::vector<std::string>& holders) const override;
  std::vector<std::string> SentencesOf(const at::Tensor& rows, const Scores& scores,
                                       const std::vector<std::string>& holders) const override;

 private:
  ProbeWeights weights_;
};

// Calibrated scores from logits [n, classes] and directly regressed valence and arousal [n, 2]
// (undefined: the lexicon's values under the probabilities alone), on one device.
Scores ScoresOf(const DecoderInfo& info, const at::Tensor& logits, const at::Tensor& affect);

// Template sentences for the likeliest class of every row.
std::vector<std::string> TemplateSentences(const DecoderInfo& info, const Scores& scores,
                                           const std::vector<std::string>& holders);

}  // namespace extrospect
