// Fits the small decoder: a transformer from scratch over a fixed discriminant projection.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/random.h"
#include "decode/small.h"
#include "model/index_tensor.h"
#include "model/weights/weight_file.h"
#include "train/judge.h"
#include "train/linear/linear.h"
#include "train/linear/standardise.h"
#include "train/loop/epochs.h"
#include "train/loop/loop.h"
#include "train/run.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;

constexpr double kPositionDeviation = 0.1;
constexpr double kWordScale = 0.3;  // of the words' embeddings to their rows' means
constexpr double kUnseenScales[] = {0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0};
constexpr double kUnseenCost = 0.02;  // nats on dev that unseen words may cost
constexpr int64_t kIgnored = -100;    // a target that costs nothing

at::Tensor NormalTensor(const std::vector<int64_t>& shape, double deviation, RandomStream random) {
  at::Tensor tensor = at::empty(shape, at::TensorOptions(at::kFloat).device(at::kCPU));
  float* const data = tensor.data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    data[i] = static_cast<float>(deviation * random.Normal());
  }
  return tensor;
}

// Initial values by name, the same whatever other tensors there are. Token embeddings come in with
// about unit variance, and so do the coordinates.
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

// Words start where their training rows lie on average, so that the network begins as a
// nearest-mean reading of the coordinates and learns from there. `embedding` [vocabulary, width] is
// changed in place.
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

// Words without a training example have nothing of their own, and what they take from their
// neighbours averages out to less than what trained words are. Gives them the direction that their
// neighbours say, at `scale` times the mean length of trained words. Changes the embedding in
// place.
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

// One row with everything that can be asked of it.
struct SmallExample {
  std::vector<int64_t> sentence;  // pieces of the description, begin and end included
  std::vector<int64_t> classes;
  std::string holder;
};

class SmallTrainee : public Trainee {
 public:
  SmallTrainee(const TrainingData& data, const Config& config, const SmallShape& shape,
               std::map<std::string, at::Tensor> tensors,
               std::shared_ptr<const SentencePieces> pieces, at::Tensor word_ids)
      : data_(data),
        config_(config),
        pieces_(pieces),
        seed_(static_cast<uint64_t>(config.Integer("seed"))),
        network_(shape, tensors, word_ids),
        word_ids_(word_ids),
        small_(data.info, pieces, network_) {
    for (const auto& [name, tensor] : network_.tensors()) {
      if (!SmallNetwork::IsTrained(name)) continue;
      // Norms and biases are not decayed.
      parameters_.push_back({name, tensor, tensor.dim() > 1 && name != "position"});
    }
    CollectExamples();
    const at::NoGradGuard no_grad;
    coordinates_ = network_.Coordinates(data.Rows("train").flatten(1));
    dev_coordinates_ = network_.Coordinates(data.Rows("dev").flatten(1));
    // Words that nobody was trained on are left out of the softmax, and so keep the place that
    // their neighbours give them.
    const at::Tensor counts = data.Targets("train").sum(0);
    std::vector<int64_t> kept;
    for (int64_t i = 0; i < data.lexicon().size(); ++i) {
      if (i != data.lexicon().nothing()) kept.push_back(i);
    }
    unseen_ = counts.index_select(0, IndexTensor(kept, counts.device())) == 0;
    unseen_pieces_ = at::zeros({network_.shape().vocabulary}, unseen_.options())
                         .index_copy(0, word_ids_, unseen_);
    // A description may name a word that labels nothing; then it was seen after all.
    for (const SmallExample& example : examples_) {
      unseen_pieces_.index_fill_(0, IndexTensor(example.sentence, unseen_.device()), false);
    }
  }

  std::vector<Parameter> Parameters() const override { return parameters_; }

  at::Tensor Loss(int64_t step, int64_t) override {
    RandomStream random(seed_, "small/step/" + std::to_string(step));
    const at::Generator generator = at::detail::createCPUGenerator(random.Next());
    const SmallNetwork::Noise noise = {config_.Number("dropout"), generator};
    at::Tensor loss;
    if (config_.Number("description_weight") > 0 && has_descriptions_) {
      loss = DescriptionLoss(Draw(step, "batch"), noise, random) *
             config_.Number("description_weight");
    }
    if (config_.Integer("word_batch") > 0) {
      const at::Tensor words = WordLoss(Draw(step, "word_batch"), noise, random);
      loss = loss.defined() ? loss + words : words;
    }
    if (!loss.defined()) throw UsageError("nothing to train on: both losses are switched off");
    return loss;
  }

  Evaluation Evaluate() override {
    const at::NoGradGuard no_grad;
    const at::Tensor logits = DevLogits();
    const at::Tensor targets = data_.Targets("dev");
    const double temperature = FitTemperature(logits, targets);
    const Judgement dev = Judge(data_.lexicon(), at::log_softmax(logits / temperature, 1),
                                data_.Labels("dev"), targets);
    return {-dev.cross_entropy, dev.ToJson()};
  }

  at::Tensor DevLogits() const {
    const at::NoGradGuard no_grad;
    return small_.SentenceScores(dev_coordinates_, data_.Holders("dev"));
  }
  // The words that were never trained on come as near as dev's cross-entropy allows. Returns their
  // scale.
  double PlaceUnseen() {
    if (!unseen_.any().item<bool>()) return 0;
    const double before = -Evaluate().score;
    double scale = kUnseenScales[0];
    for (const double candidate : kUnseenScales) {
      PlaceUnseenWords(network_, word_ids_, unseen_, candidate);
      if (-Evaluate().score > before + kUnseenCost) break;
      scale = candidate;
    }
    PlaceUnseenWords(network_, word_ids_, unseen_, scale);
    return scale;
  }

 private:
  void CollectExamples() {
    const auto& all = data_.transcripts->examples();
    for (const int64_t row : data_.rows.split.at("train")) {
      const Example& example = all[data_.rows.example[row]];
      SmallExample small;
      small.classes = example.classes;
      small.holder = example.holder.empty() ? "holder" : example.holder;
      has_descriptions_ = has_descriptions_ || !example.description.empty();
      const std::string sentence =
          example.description.empty()
              ? TemplateSentence(small.holder, data_.lexicon()[example.classes[0]].word)
              : example.description;
      small.sentence = pieces_->Encode(sentence);
      const auto longest = static_cast<size_t>(network_.shape().max_tokens - 2);
      if (small.sentence.size() > longest) small.sentence.resize(longest);
      small.sentence.insert(small.sentence.begin(), pieces_->bos());
      small.sentence.push_back(pieces_->eos());
      examples_.push_back(std::move(small));
    }
  }

  // The rows of this step, as many as the option `name` says.
  std::vector<int64_t> Draw(int64_t step, const std::string& name) {
    const auto n = static_cast<int64_t>(examples_.size());
    const auto [epochs, is_new] = epochs_.try_emplace(name, seed_, "small/" + name, n);
    return epochs->second.Step(step, std::min(config_.Integer(name), n));
  }

  // The coordinates of these rows, with noise.
  at::Tensor Inputs(const std::vector<int64_t>& rows, RandomStream& random, double mixup) const {
    const at::Tensor index = IndexTensor(rows, coordinates_.device());
    at::Tensor inputs = coordinates_.index_select(0, index);
    if (mixup > 0) {
      std::vector<int64_t> partners;
      for (const int64_t row : rows) {
        const auto& same = by_class(examples_[static_cast<size_t>(row)].classes[0]);
        partners.push_back(random.Uniform() < mixup ? same[random.Below(same.size())] : row);
      }
      inputs = (inputs + coordinates_.index_select(0, IndexTensor(partners, index.device()))) / 2;
    }
    const double noise = config_.Number("noise");
    if (noise > 0) {
      const at::Generator generator = at::detail::createCPUGenerator(random.Next());
      inputs = inputs +
               at::randn(inputs.sizes(), generator, at::TensorOptions(at::kFloat).device(at::kCPU))
                       .to(inputs.device()) *
                   noise;
    }
    return inputs;
  }

  const std::vector<int64_t>& by_class(int64_t word) const {
    if (by_class_.empty()) {
      for (size_t i = 0; i < examples_.size(); ++i) {
        by_class_[examples_[i].classes[0]].push_back(static_cast<int64_t>(i));
      }
    }
    return by_class_.at(word);
  }

  // Next-piece cross-entropy over whole descriptions.
  at::Tensor DescriptionLoss(const std::vector<int64_t>& rows, const SmallNetwork::Noise& noise,
                             RandomStream& random) const {
    size_t longest = 0;
    for (const int64_t row : rows) {
      longest = std::max(longest, examples_[static_cast<size_t>(row)].sentence.size());
    }
    const auto n = static_cast<int64_t>(rows.size()), length = static_cast<int64_t>(longest) - 1;
    std::vector<int64_t> inputs(static_cast<size_t>(n * length), pieces_->eos());
    std::vector<int64_t> targets(static_cast<size_t>(n * length), kIgnored);
    for (int64_t i = 0; i < n; ++i) {
      const auto& sentence = examples_[static_cast<size_t>(rows[static_cast<size_t>(i)])].sentence;
      for (size_t j = 0; j + 1 < sentence.size(); ++j) {
        inputs[static_cast<size_t>(i * length) + j] = sentence[j];
        targets[static_cast<size_t>(i * length) + j] = sentence[j + 1];
      }
    }
    const at::Device device = coordinates_.device();
    const at::Tensor tokens = IndexTensor(inputs, device).reshape({n, length});
    const at::Tensor hidden = network_.Hidden(Inputs(rows, random, 0), tokens, noise);
    const at::Tensor logits = network_.Logits(hidden.narrow(1, network_.shape().prefix, length))
                                  .masked_fill(unseen_pieces_, -1e30)
                                  .flatten(0, 1);
    return at::cross_entropy_loss(logits, IndexTensor(targets, device), {}, at::Reduction::Mean,
                                  kIgnored);
  }

  // Cross-entropy of "feels" against "reports" and of the word among the words, after the scored
  // prompts: what reading will ask.
  at::Tensor WordLoss(const std::vector<int64_t>& rows, const SmallNetwork::Noise& noise,
                      RandomStream& random) const {
    std::map<std::pair<std::string, bool>, std::vector<int64_t>> groups;
    const int64_t nothing = data_.lexicon().nothing();
    for (const int64_t row : rows) {
      const SmallExample& example = examples_[static_cast<size_t>(row)];
      groups[{example.holder, example.classes[0] == nothing}].push_back(row);
    }
    at::Tensor total;
    for (const auto& [group, members] : groups) {
      const auto n = static_cast<int64_t>(members.size());
      std::vector<int64_t> prompt =
          pieces_->Encode(group.second ? NothingPrompt(group.first) : FeelsPrompt(group.first));
      prompt.insert(prompt.begin(), pieces_->bos());
      const auto length = static_cast<int64_t>(prompt.size());
      const at::Device device = coordinates_.device();
      const at::Tensor tokens = IndexTensor(prompt, device).unsqueeze(0).expand({n, length});
      const at::Tensor inputs = Inputs(members, random, config_.Number("mixup"));
      const at::Tensor hidden = network_.Hidden(inputs, tokens, noise);
      const int64_t prefix = network_.shape().prefix;
      // The prompt's own tokens: where "feels" parts from "reports".
      const at::Tensor log_p =
          at::log_softmax(network_.Logits(hidden.narrow(1, prefix, length - 1)), -1);
      at::Tensor loss = -log_p.gather(2, tokens.narrow(1, 1, length - 1).unsqueeze(2)).sum();
      if (!group.second) {
        const at::Tensor words = at::log_softmax(
            network_.WordLogits(hidden.select(1, prefix + length - 1)).masked_fill(unseen_, -1e30),
            1);
        loss = loss - (words * WordTargets(members)).sum();
      }
      total = total.defined() ? total + loss : loss;
    }
    return total / static_cast<double>(rows.size());
  }

  // Targets over the words (the lexicon without "nothing to report").
  at::Tensor WordTargets(const std::vector<int64_t>& rows) const {
    const int64_t nothing = data_.lexicon().nothing(), words = word_ids_.size(0);
    at::Tensor targets = at::zeros({static_cast<int64_t>(rows.size()), words},
                                   at::TensorOptions(at::kFloat).device(at::kCPU));
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto& classes = examples_[static_cast<size_t>(rows[i])].classes;
      for (const int64_t word : classes) {
        if (word == nothing) continue;
        targets.data_ptr<float>()[static_cast<int64_t>(i) * words + word - (word > nothing)] =
            1.0f / static_cast<float>(classes.size());
      }
    }
    return targets.to(coordinates_.device());
  }

  const TrainingData& data_;
  const Config& config_;
  std::shared_ptr<const SentencePieces> pieces_;
  uint64_t seed_;
  SmallNetwork network_;
  at::Tensor word_ids_, unseen_, unseen_pieces_;
  Small small_;  // shares the network's tensors
  std::vector<Parameter> parameters_;
  std::vector<SmallExample> examples_;
  bool has_descriptions_ = false;
  at::Tensor coordinates_, dev_coordinates_;
  std::map<std::string, Epochs> epochs_;  // by option
  mutable std::map<int64_t, std::vector<int64_t>> by_class_;
};

}  // namespace

std::unique_ptr<Decoder> TrainSmall(const TrainingRun& run, TrainingData& training, MetricsLog& log,
                                    ordered_json& body) {
  const Lexicon& lexicon = training.lexicon();
  const Config& config = run.config;
  DecoderInfo& info = training.info;
  info.holder_independent = false;

  std::vector<std::string> sentences;
  for (const int64_t row : training.rows.split.at("train")) {
    const Example& example = training.transcripts->examples()[training.rows.example[row]];
    const std::string holder = example.holder.empty() ? "holder" : example.holder;
    if (!example.description.empty()) sentences.push_back(example.description);
    sentences.push_back(TemplateSentence(holder, lexicon[example.classes[0]].word));
  }
  const std::string model = SentencePieces::Train(lexicon, sentences, config.Integer("vocabulary"));
  auto pieces =
      std::make_shared<const SentencePieces>(lexicon, model, "the vocabulary just trained");

  const at::Tensor raw = training.Rows("train").flatten(1);
  const Standardiser standardise(raw);
  const DiscriminantAnalysis analysis(lexicon, standardise(raw), training.Targets("train"));
  const at::Tensor project = analysis.Discriminants(
      config.Number("shrinkage"), config.Number("pull"), config.Integer("network.rank"));

  SmallShape shape;
  shape.features = raw.size(1);
  shape.rank = project.size(0);
  shape.prefix = config.Integer("network.prefix");
  shape.width = config.Integer("network.width");
  shape.layers = config.Integer("network.layers");
  shape.heads = config.Integer("network.heads");
  shape.max_tokens = config.Integer("network.max_tokens");
  shape.vocabulary = pieces->size();
  shape.words = lexicon.size() - 1;
  if (shape.width % shape.heads != 0) {
    throw UsageError("network.heads must divide network.width")
        .Found(std::to_string(shape.heads) + " and " + std::to_string(shape.width));
  }
  std::vector<int64_t> words, symbols;
  for (int64_t i = 0; i < lexicon.size(); ++i) {
    if (i == lexicon.nothing()) continue;
    words.push_back(i);
    symbols.push_back(pieces->SymbolOf(i));
  }
  const at::Tensor kept = IndexTensor(words, at::kCPU);
  const at::Tensor neighbours =
      NeighbourWeights(lexicon, training.Targets("train").sum(0)).to(at::kFloat);

  const auto seed = static_cast<uint64_t>(config.Integer("seed"));
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, sizes] : SmallNetwork::Shapes(shape)) {
    at::Tensor value;
    if (name == "mean" || name == "scale") {
      value = name == "mean" ? standardise.mean : standardise.scale;
    } else if (name == "project") {
      value = project;
    } else if (name == "mixing") {
      value = neighbours.index_select(0, kept).index_select(1, kept);
    } else {
      value = InitialTensor(name, sizes, shape, seed);
    }
    // Inference tensors cannot take part in a graph, hence the copy.
    tensors[name] = at::empty(sizes, at::TensorOptions(at::kFloat).device(run.device)).copy_(value);
  }
  const at::Tensor word_ids = IndexTensor(symbols, run.device);
  PlaceWords(tensors.at("embedding"), word_ids, at::mm(standardise(raw), tensors.at("project").t()),
             training.Targets("train").index_select(1, kept.to(run.device)));
  for (auto& [name, tensor] : tensors) {
    if (SmallNetwork::IsTrained(name)) tensor.requires_grad_(true);
  }
  SmallTrainee trainee(training, config, shape, tensors, pieces, word_ids);

  const LoopResult result = RunTraining(trainee, MakeLoopOptions(run, training), log);

  const double unseen_scale = trainee.PlaceUnseen();
  Calibrate(info, trainee.DevLogits(), training, config, log);
  for (auto& [name, tensor] : tensors) tensor = tensor.detach();
  std::error_code ignored;
  std::filesystem::remove(run.output / "decoder.json", ignored);
  WriteFileAtomically(run.output / "sentencepiece.model", model);
  SaveTensors(run.output / "weights.safetensors", tensors);
  body = Small::Body(shape);
  body["best_step"] = result.best_step;
  body["unseen_scale"] = unseen_scale;
  return std::make_unique<Small>(info, std::move(pieces),
                                 SmallNetwork(shape, std::move(tensors), word_ids));
}

}  // namespace extrospect
