#include "train/oracle_init.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "base/random.h"
#include "model/hooks.h"
#include "train/discriminant.h"
#include "train/standardise.h"

namespace extrospect {
namespace {

// Discriminant analyses that are tried on dev for the joint vector.
const std::vector<double> kShrinkages = {0.2, 0.4, 0.6};
const std::vector<double> kPulls = {10.0, 20.0};
// Ridge of the words' representations, which have length 1.
constexpr double kOverlap = 0.3;

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

// The discriminant analysis of the joined, standardised rows whose cross-entropy on dev is least.
LinearMap BestReading(const TrainingData& data, MetricsLog& log) {
  const at::Tensor raw = data.Rows("train").flatten(1);
  const Standardiser standardise(raw);
  const ProbeData rows = {standardise(raw), data.Targets("train"),
                          standardise(data.Rows("dev").flatten(1)), data.Targets("dev"),
                          data.Labels("dev")};
  const LinearMap best = BestDiscriminant(data.lexicon(), rows, kShrinkages, kPulls, "joint", log);
  // From standardised rows to rows as they are.
  const at::Tensor weight = best.weight * standardise.scale;
  return {weight, best.bias - at::mv(weight, standardise.mean)};
}

// The vector v whose product with each word's representation is about the reading's score of that
// word: v = Eᵀ (E Eᵀ + λ I)⁻¹ (scores − their mean), a ridge solution since representations of
// similar words are similar. Returns the map from centred rows.
LinearMap JointMap(const LinearMap& reading, const at::Tensor& words, const at::Tensor& mean) {
  const at::Tensor e =
      (words / words.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-9)).to(at::kDouble);
  at::Tensor gram = at::mm(e, e.t());
  gram.diagonal().add_(kOverlap);
  const at::Tensor dual = at::linalg_solve(gram, e);  // [classes, d_model]
  const at::Tensor weight = reading.weight.to(at::kDouble);
  const at::Tensor scores = weight - weight.mean(0);
  const at::Tensor bias = at::mv(weight, mean.to(at::kDouble)) + reading.bias.to(at::kDouble);
  return {at::mm(dual.t(), scores).to(at::kFloat),
          at::mv(dual.t(), bias - bias.mean()).to(at::kFloat)};
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

OracleStart StartOracle(const TrainingData& data, const Config& config, const std::string& kind,
                        const OracleSpec& spec, const LanguageModel& model, MetricsLog& log) {
  const at::NoGradGuard no_grad;
  const at::Tensor rows = data.Rows("train");
  const int64_t hooks = rows.size(1), d_model = rows.size(2);
  const at::Device device = model.transformer->weights().blocks.front().device;
  OracleStart start;
  OracleInput& input = start.weights.input;
  input.mean = rows.mean(0).to(device);
  if (kind == "vector") start.weights.adapter = InitialVectors(model);
  if (kind == "affine") {
    const at::Tensor words = WordRepresentations(model, data.lexicon(), spec.site.block);
    const double length = MeanNorm(words) / MeanNorm(rows - rows.mean(0));
    input.scale = at::full({hooks}, length, input.mean.options());
    input.bias = -length * input.mean;
  }
  if (kind != "oracle") return start;
  start.weights.adapter = InitialLora(config, model);
  if (config.Flag("input.map")) {
    input.map = at::eye(d_model, input.mean.options()).repeat({hooks, 1, 1});
  }
  if (config.Flag("input.joint")) {
    start.reading = BestReading(data, log);
    const at::Tensor words =
        WordRepresentations(model, data.lexicon(), spec.site.block).to(rows.device());
    const LinearMap joint = JointMap(start.reading, words, rows.mean(0).flatten());
    input.joint = joint.weight.to(device).contiguous();
    input.joint_bias = joint.bias.to(device).contiguous();
    start.reading = {start.reading.weight.to(device), start.reading.bias.to(device)};
  }
  return start;
}

}  // namespace extrospect
