// Fits the small decoder.
#include <ATen/ATen.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "decode/small.h"
#include "model/index_tensor.h"
#include "model/weights/weight_file.h"
#include "train/linear/linear.h"
#include "train/linear/standardise.h"
#include "train/run.h"
#include "train/small/small_examples.h"
#include "train/small/small_init.h"
#include "train/small/small_trainee.h"

namespace extrospect {

using nlohmann::ordered_json;

std::unique_ptr<Decoder> TrainSmall(const TrainingRun& run, TrainingData& training, MetricsLog& log,
                                    ordered_json& body) {
  const Lexicon& lexicon = training.lexicon();
  const Config& config = run.config;
  DecoderInfo& info = training.info;
  info.holder_independent = false;

  const std::vector<std::string> holders = TrainedHolders(training);
  const std::string model =
      SentencePieces::Train(lexicon, VocabularySentences(training), config.Integer("vocabulary"));
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

  const std::map<std::string, at::Tensor> given = {
      {"mean", standardise.mean},
      {"scale", standardise.scale},
      {"project", project},
      {"mixing", neighbours.index_select(0, kept).index_select(1, kept)}};
  std::map<std::string, at::Tensor> tensors =
      InitialTensors(shape, given, static_cast<uint64_t>(config.Integer("seed")), run.device);
  const at::Tensor word_ids = IndexTensor(symbols, run.device);
  PlaceWords(tensors.at("embedding"), word_ids, at::mm(standardise(raw), tensors.at("project").t()),
             training.Targets("train").index_select(1, kept.to(run.device)));
  for (auto& [name, tensor] : tensors) {
    if (SmallNetwork::IsTrained(name)) tensor.requires_grad_(true);
  }
  SmallTrainee trainee(training, config, shape, tensors, pieces, word_ids, holders);

  const LoopResult result = RunTraining(trainee, MakeLoopOptions(run, training), log);

  const double unseen_scale = trainee.PlaceUnseen();
  Calibrate(info, trainee.DevLogits(), training, config, log);
  for (auto& [name, tensor] : tensors) tensor = tensor.detach();
  std::error_code ignored;
  std::filesystem::remove(run.output / "decoder.json", ignored);
  WriteFileAtomically(run.output / "sentencepiece.model", model);
  SaveTensors(run.output / "weights.safetensors", tensors);
  body = Small::Body(shape, holders);
  body["best_step"] = result.best_step;
  body["unseen_scale"] = unseen_scale;
  return std::make_unique<Small>(info, std::move(pieces),
                                 SmallNetwork(shape, std::move(tensors), word_ids), holders);
}

}  // namespace extrospect
