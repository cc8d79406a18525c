#include "decode/probe.h"

#include <ATen/ATen.h>

#include <utility>

#include "base/error.h"
#include "model/weights/weight_file.h"

namespace extrospect {
namespace {

// Nothing that training makes is larger; bounds what is allocated.
constexpr uint64_t kMaxHidden = 1 << 16;

// Units of the hidden layer; decoders that do not name it have none.
int64_t HiddenUnits(const DecoderFile& file, const std::string& where) {
  const auto found = file.body.find("hidden");
  if (found == file.body.end()) return 0;
  if (!found->is_number_unsigned() || found->get<uint64_t>() > kMaxHidden) {
    throw Error("a field of the decoder is wrong")
        .At(where + ", probe.hidden")
        .Expected("an integer from 0 to " + std::to_string(kMaxHidden))
        .Found(found->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).substr(0, 80));
  }
  return found->get<int64_t>();
}

}  // namespace

at::Tensor ProbeWeights::Logits(const at::Tensor& features) const {
  at::Tensor logits = at::addmm(bias, features, weight.t());
  if (hidden_weight.defined()) {
    logits = logits +
             at::mm(at::relu(at::addmm(hidden_bias, features, hidden_weight.t())), hidden_out.t());
  }
  return logits;
}

std::map<std::string, at::Tensor> ProbeWeights::Named() const {
  std::map<std::string, at::Tensor> named = {{"mean", mean},
                                             {"scale", scale},
                                             {"weight", weight},
                                             {"bias", bias},
                                             {"affect.weight", affect_weight},
                                             {"affect.bias", affect_bias}};
  if (hidden_weight.defined()) {
    named["hidden.weight"] = hidden_weight;
    named["hidden.bias"] = hidden_bias;
    named["hidden.out"] = hidden_out;
  }
  return named;
}

Probe::Probe(DecoderInfo info, ProbeWeights weights)
    : Decoder(std::move(info)), weights_(std::move(weights)) {}

std::unique_ptr<Probe> Probe::Load(const DecoderFile& file, const std::filesystem::path& weights,
                                   at::Device device) {
  const SafetensorsFile tensors(weights);
  const int64_t classes = file.info.lexicon.size();
  const int64_t features = static_cast<int64_t>(file.info.hooks.size()) * file.info.d_model;
  ProbeWeights loaded;
  loaded.mean = LoadTensor(tensors, "mean", {features}, device);
  loaded.scale = LoadTensor(tensors, "scale", {features}, device);
  loaded.weight = LoadTensor(tensors, "weight", {classes, features}, device);
  loaded.bias = LoadTensor(tensors, "bias", {classes}, device);
  loaded.affect_weight = LoadTensor(tensors, "affect.weight", {2, features}, device);
  loaded.affect_bias = LoadTensor(tensors, "affect.bias", {2}, device);
  if (const int64_t hidden = HiddenUnits(file, (weights.parent_path() / "decoder.json").string());
      hidden > 0) {
    loaded.hidden_weight = LoadTensor(tensors, "hidden.weight", {hidden, features}, device);
    loaded.hidden_bias = LoadTensor(tensors, "hidden.bias", {hidden}, device);
    loaded.hidden_out = LoadTensor(tensors, "hidden.out", {classes, hidden}, device);
  }
  return std::make_unique<Probe>(file.info, std::move(loaded));
}

at::Tensor Probe::Standardise(const at::Tensor& rows, const at::Tensor& mean,
                              const at::Tensor& scale) {
  return (rows.reshape({rows.size(0), mean.size(0)}).to(mean.device()) - mean) * scale;
}

Scores Probe::ReadRows(const at::Tensor& rows, const std::vector<std::string>&) const {
  const at::Tensor features = Standardise(rows, weights_.mean, weights_.scale);
  return ScoresOf(info(), weights_.Logits(features),
                  at::addmm(weights_.affect_bias, features, weights_.affect_weight.t()));
}

std::vector<std::string> Probe::SentencesOf(const at::Tensor&, const Scores& scores,
                                            const std::vector<std::string>& holders) const {
  return TemplateSentences(info(), scores, holders);
}

Scores ScoresOf(const DecoderInfo& info, const at::Tensor& logits, const at::Tensor& affect) {
  const int64_t classes = info.lexicon.size();
  at::Tensor values = at::empty({classes, 2}, at::TensorOptions(at::kFloat).device(at::kCPU));
  float* const data = values.data_ptr<float>();
  for (int64_t i = 0; i < classes; ++i) {
    data[2 * i] = static_cast<float>(info.lexicon[i].valence);
    data[2 * i + 1] = static_cast<float>(info.lexicon[i].arousal);
  }
  values = values.to(logits.device());
  Scores scores;
  scores.log_p = at::log_softmax(logits / info.temperature, 1);
  at::Tensor mixed = at::mm(scores.log_p.exp(), values);
  if (affect.defined() && info.regression_share > 0) {
    mixed = mixed * (1 - info.regression_share) + affect * info.regression_share;
  }
  mixed = mixed.clamp(-1, 1);
  scores.valence = mixed.select(1, 0);
  scores.arousal = mixed.select(1, 1);
  return scores;
}

std::vector<std::string> TemplateSentences(const DecoderInfo& info, const Scores& scores,
                                           const std::vector<std::string>& holders) {
  const at::Tensor best = scores.log_p.argmax(1).to(at::kCPU);
  std::vector<std::string> sentences;
  for (int64_t i = 0; i < best.size(0); ++i) {
    const float* const row = scores.log_p.const_data_ptr<float>() + i * info.lexicon.size();
    const int64_t word =
        Abstains(info, row) ? info.lexicon.nothing() : best.const_data_ptr<int64_t>()[i];
    sentences.push_back(TemplateSentence(holders[i], info.lexicon[word].word));
  }
  return sentences;
}

}  // namespace extrospect
