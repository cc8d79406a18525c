#include "train/oracle/oracle_init.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "base/random.h"
#include "model/hooks.h"

namespace extrospect {
namespace {

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
  bool adapts = false;
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
      adapts = true;
    }
  }
  if (!adapts) {
    throw UsageError("an oracle without an adapted matrix has nothing to train")
        .At("lora.blocks, lora.targets")
        .Expected("at least one block, and one of q, k, v, o, gate, up and down");
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

// Of the training rows.
std::vector<std::string> Situations(const TrainingData& data) {
  std::vector<std::string> situations;
  for (const int64_t row : data.rows.split.at("train")) {
    const int64_t example = data.rows.example[static_cast<size_t>(row)];
    situations.push_back(data.transcripts->examples()[static_cast<size_t>(example)].situation);
  }
  return situations;
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
  std::vector<double> sharpness = config.NumberList("input.sharpness");
  if (!sharpness.empty()) {
    const auto n_of_all = static_cast<int64_t>(sharpness.size());
    const std::vector<double> of_emotions = config.NumberList("input.emotion_sharpness");
    sharpness.insert(sharpness.end(), of_emotions.begin(), of_emotions.end());
    start.reading.emplace(data.lexicon(), ProbeDataOf(data.rows),
                          FoldsBySituation(Situations(data), config.Integer("input.folds")), log);
    start.reading->To(device);
    const LinearMap& reading = start.reading->map();
    input.keys = reading.weight;
    input.key_bias = reading(input.mean.flatten().unsqueeze(0)).squeeze(0);
    input.sharpness = at::tensor(sharpness, at::TensorOptions(at::kDouble).device(at::kCPU))
                          .to(input.mean.options());
    if (!of_emotions.empty()) {
      const auto n = static_cast<int64_t>(sharpness.size());
      input.left_out = at::zeros({n, data.lexicon().size()}, input.mean.options());
      input.left_out.narrow(0, n_of_all, n - n_of_all).select(1, data.lexicon().nothing()).fill_(1);
    }
    const at::Tensor words = WordRepresentations(model, data.lexicon(), spec.site.block);
    input.codes = (words / words.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-9)).to(device);
  }
  return start;
}

}  // namespace extrospect
