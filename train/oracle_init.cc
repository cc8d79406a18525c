#include "train/oracle_init.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "model/hooks.h"
#include "train/judge.h"
#include "train/linear.h"
#include "train/standardise.h"

namespace extrospect {
namespace {

// Ridge penalties of the joint reading that are tried on dev.
constexpr double kRidges[] = {0.03, 0.1, 0.3, 1.0, 3.0};
// Sharpness of cosines where words compete on dev; a temperature is fitted after it.
constexpr double kSharpness = 20.0;

at::Tensor Uniform(const std::vector<int64_t>& shape, double bound, RandomStream random,
                   at::Device device) {
  at::Tensor tensor = at::empty(shape, at::TensorOptions(at::kFloat).device(at::kCPU));
  float* const data = tensor.mutable_data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    data[i] = static_cast<float>(bound * (2 * random.Uniform() - 1));
  }
  return tensor.to(device);
}

Adapter InitialLora(const Config& config, const LanguageModel& model) {
  const Architecture& architecture = model.architecture;
  Adapter adapter;
  adapter.rank = config.Integer("lora.rank");
  adapter.alpha = config.Number("lora.alpha");
  adapter.blocks.resize(static_cast<size_t>(architecture.n_layers));
  const auto seed = static_cast<uint64_t>(config.Integer("seed"));
  for (const int64_t block : ParseLayers(config.Text("lora.blocks"), architecture.n_layers)) {
    if (block == kEmbeddingBlock) continue;
    const at::Device device = model.transformer->weights().blocks[block].device;
    for (const std::string& name : config.TextList("lora.targets")) {
      const Target target = ParseTarget(name);
      const auto [out, in] = TargetShape(architecture, block, target);
      const std::string stream = "lora/" + std::to_string(block) + "/" + name;
      adapter.blocks[static_cast<size_t>(block)].of(target) = {
          Uniform({adapter.rank, in}, 1.0 / std::sqrt(static_cast<double>(in)),
                  RandomStream(seed, stream), device),
          at::zeros({out, adapter.rank}, at::TensorOptions(at::kFloat).device(device))};
    }
  }
  return adapter;
}

Adapter InitialVectors(const LanguageModel& model) {
  Adapter adapter;
  for (const BlockWeights& block : model.transformer->weights().blocks) {
    const auto options = at::TensorOptions(at::kFloat).device(block.device);
    BlockAdapter& to = adapter.blocks.emplace_back();
    to.attention_vector = at::zeros({model.architecture.d_model}, options);
    to.mlp_vector = at::zeros({model.architecture.d_model}, options);
  }
  return adapter;
}

// A ridge regression from all hooks' centred rows onto the representation of each row's words: in
// the space of words rather than of classes, so that words without an example have a place too
// (Frome et al. 2013, "DeViSE"). The penalty is chosen on dev by which word is nearest.
LinearMap JointReading(const TrainingData& data, const at::Tensor& words, MetricsLog& log) {
  const at::Tensor raw = data.Rows("train").flatten(1);
  const Standardiser standardise(raw);
  const at::Tensor unit = words / words.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-9);
  const at::Tensor x = standardise(raw), y = at::mm(data.Targets("train"), unit);
  const at::Tensor dev = standardise(data.Rows("dev").flatten(1)), targets = data.Targets("dev");
  LinearMap best;
  double least = std::numeric_limits<double>::infinity();
  for (const double ridge : kRidges) {
    const LinearMap map = RidgeRegression(x, y, ridge);
    const at::Tensor read = map(dev);
    const at::Tensor cosines =
        at::mm(read / read.norm(2, {1}, true).clamp_min(1e-9), unit.t()) * kSharpness;
    const at::Tensor log_p = at::log_softmax(cosines / FitTemperature(cosines, targets), 1);
    const Judgement judged = Judge(data.lexicon(), log_p, data.Labels("dev"), targets);
    log.Add({{"event", "joint"}, {"ridge", ridge}, {"dev", judged.ToJson()}});
    if (judged.cross_entropy < least || !best.weight.defined()) {
      least = judged.cross_entropy;
      best = map;
    }
  }
  // From standardised rows to centred ones.
  return {best.weight * standardise.scale, best.bias};
}

double MeanNorm(const at::Tensor& rows) { return rows.norm(2, {-1}).mean().item<double>(); }

}  // namespace

at::Tensor WordRepresentations(const LanguageModel& model, const Lexicon& lexicon, int64_t block) {
  const at::NoGradGuard no_grad;
  const std::vector<int32_t> before = model.tokenizer->Encode(FeelsOpening("user"), false).ids;
  std::vector<Sequence> sequences;
  for (const Emotion& emotion : lexicon.emotions()) {
    const std::string word = emotion.word == kNothing ? "nothing" : emotion.word;
    sequences.push_back(
        {model.tokenizer->Encode(FeelsOpening("user") + " " + word, false).ids, {}, nullptr});
  }
  ForwardOptions forward;
  forward.sequences = sequences;
  forward.last_block = block;
  const at::Tensor residual = model.transformer->Forward(forward).residual.to(at::kFloat);
  std::vector<at::Tensor> rows;
  int64_t first = 0;
  for (const Sequence& sequence : sequences) {
    const auto n = static_cast<int64_t>(sequence.tokens.size());
    const auto skipped = std::min(static_cast<int64_t>(before.size()), n - 1);
    rows.push_back(residual.narrow(0, first + skipped, n - skipped).mean(0));
    first += n;
  }
  const at::Tensor words = at::stack(rows);
  return words - words.mean(0);
}

OracleWeights InitialOracleWeights(const TrainingData& data, const Config& config,
                                   const std::string& kind, const OracleSpec& spec,
                                   const LanguageModel& model, MetricsLog& log) {
  const at::NoGradGuard no_grad;
  const at::Tensor rows = data.Rows("train");
  const int64_t hooks = rows.size(1), d_model = rows.size(2);
  const at::Device device = model.transformer->weights().blocks.front().device;
  OracleWeights weights;
  OracleInput& input = weights.input;
  input.mean = rows.mean(0).to(device);
  if (kind == "vector") weights.adapter = InitialVectors(model);
  if (kind == "affine") {
    const at::Tensor words = WordRepresentations(model, data.lexicon(), spec.site.block);
    const double length = MeanNorm(words) / MeanNorm(rows - rows.mean(0));
    input.scale = at::full({hooks}, length, input.mean.options());
    input.bias = -length * input.mean;
  }
  if (kind != "oracle") return weights;
  weights.adapter = InitialLora(config, model);
  if (config.Flag("input.map")) {
    input.map = at::eye(d_model, input.mean.options()).repeat({hooks, 1, 1});
  }
  if (config.Flag("input.joint")) {
    const LinearMap joint = JointReading(
        data, WordRepresentations(model, data.lexicon(), spec.site.block).to(rows.device()), log);
    input.joint = joint.weight.to(device).contiguous();
    input.joint_bias = joint.bias.to(device).contiguous();
  }
  return weights;
}

}  // namespace extrospect
