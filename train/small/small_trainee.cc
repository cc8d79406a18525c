#include "train/small/small_trainee.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "model/index_tensor.h"
#include "train/judge.h"
#include "train/small/small_init.h"

namespace extrospect {
namespace {

constexpr double kUnseenScales[] = {0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0};
constexpr double kUnseenCost = 0.02;  // nats on dev that unseen words may cost
constexpr int64_t kIgnored = -100;    // a target that costs nothing

}  // namespace

SmallTrainee::SmallTrainee(const TrainingData& data, const Config& config, const SmallShape& shape,
                           std::map<std::string, at::Tensor> tensors,
                           std::shared_ptr<const SentencePieces> pieces, at::Tensor word_ids,
                           const std::vector<std::string>& holders)
    : data_(data),
      config_(config),
      pieces_(pieces),
      seed_(static_cast<uint64_t>(config.Integer("seed"))),
      network_(shape, tensors, word_ids),
      word_ids_(word_ids),
      small_(data.info, pieces, network_, holders),
      examples_(SmallExamples(data, *pieces, shape.max_tokens)) {
  for (const auto& [name, tensor] : network_.tensors()) {
    if (!SmallNetwork::IsTrained(name)) continue;
    // Norms and biases are not decayed.
    parameters_.push_back({name, tensor, tensor.dim() > 1 && name != "position"});
  }
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
  unseen_pieces_ =
      at::zeros({network_.shape().vocabulary}, unseen_.options()).index_copy(0, word_ids_, unseen_);
  described_ = std::any_of(examples_.begin(), examples_.end(),
                           [](const SmallExample& example) { return example.described; });
  // A description may name a word that labels nothing; then it was seen after all.
  for (const SmallExample& example : examples_) {
    unseen_pieces_.index_fill_(0, IndexTensor(example.sentence, unseen_.device()), false);
  }
}

at::Tensor SmallTrainee::Loss(int64_t step, int64_t) {
  RandomStream random(seed_, "small/step/" + std::to_string(step));
  const at::Generator generator = at::detail::createCPUGenerator(random.Next());
  const SmallNetwork::Noise noise = {config_.Number("dropout"), generator};
  at::Tensor loss;
  if (config_.Number("description_weight") > 0 && described_) {
    loss =
        DescriptionLoss(Draw(step, "batch"), noise, random) * config_.Number("description_weight");
  }
  if (config_.Integer("word_batch") > 0) {
    const at::Tensor words = WordLoss(Draw(step, "word_batch"), noise, random);
    loss = loss.defined() ? loss + words : words;
  }
  if (!loss.defined()) throw UsageError("nothing to train on: both losses are switched off");
  return loss;
}

Trainee::Evaluation SmallTrainee::Evaluate() {
  const at::NoGradGuard no_grad;
  const at::Tensor logits = DevLogits();
  const at::Tensor targets = data_.Targets("dev");
  const double temperature = FitTemperature(logits, targets);
  const Judgement dev = Judge(data_.lexicon(), at::log_softmax(logits / temperature, 1),
                              data_.Labels("dev"), targets);
  return {-dev.cross_entropy, dev.ToJson()};
}

at::Tensor SmallTrainee::DevLogits() const {
  const at::NoGradGuard no_grad;
  return small_.SentenceScores(dev_coordinates_, data_.Holders("dev"));
}

double SmallTrainee::PlaceUnseen() {
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

std::vector<int64_t> SmallTrainee::Draw(int64_t step, const std::string& name) {
  const auto n = static_cast<int64_t>(examples_.size());
  const auto [epochs, is_new] = epochs_.try_emplace(name, seed_, "small/" + name, n);
  return epochs->second.Step(step, std::min(config_.Integer(name), n));
}

at::Tensor SmallTrainee::Inputs(const std::vector<int64_t>& rows, RandomStream& random,
                                double mixup) const {
  const at::Tensor index = IndexTensor(rows, coordinates_.device());
  at::Tensor inputs = coordinates_.index_select(0, index);
  if (mixup > 0) {
    std::vector<int64_t> partners;
    for (const int64_t row : rows) {
      const auto& same = OfClass(examples_[static_cast<size_t>(row)].classes[0]);
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

const std::vector<int64_t>& SmallTrainee::OfClass(int64_t word) const {
  if (by_class_.empty()) {
    for (size_t i = 0; i < examples_.size(); ++i) {
      by_class_[examples_[i].classes[0]].push_back(static_cast<int64_t>(i));
    }
  }
  return by_class_.at(word);
}

at::Tensor SmallTrainee::DescriptionLoss(const std::vector<int64_t>& rows,
                                         const SmallNetwork::Noise& noise,
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

at::Tensor SmallTrainee::WordLoss(const std::vector<int64_t>& rows,
                                  const SmallNetwork::Noise& noise, RandomStream& random) const {
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

at::Tensor SmallTrainee::WordTargets(const std::vector<int64_t>& rows) const {
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

}  // namespace extrospect
