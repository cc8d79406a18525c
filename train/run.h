// What every kind's training has in common: its inputs, and the end: calibration, figures, files.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/ranks.h"
#include "decode/decoder.h"
#include "model/model.h"
#include "train/dataset.h"
#include "train/linear/sweep.h"
#include "train/loop/loop.h"
#include "train/loop/metrics_log.h"

namespace extrospect {

struct TrainingRun {
  std::string kind;
  std::filesystem::path activations, targets, output;  // targets may be empty
  std::filesystem::path model = {};                    // for kinds that run it
  Config config;
  at::Device device = at::kCPU;                  // of everything but the language model
  std::vector<at::Device> devices = {at::kCPU};  // of its blocks
  bool resume = false;
  std::FILE* progress = nullptr;  // null: silent
  Ranks ranks = Ranks();          // only rank 0 may write into `output`
};

// Trains a decoder of run.kind and writes its folder, decoder.json last. Returns the figures by
// split ("dev", "test", …), as they stand in metrics.jsonl under the event "result". Throws Error;
// see RunTraining for interruption.
nlohmann::ordered_json Train(const TrainingRun& run);

// --- for the kinds -------------------------------------------------------------------------------

// Everything that is loaded before a kind begins.
struct TrainingData {
  const LabelledTranscripts* transcripts = nullptr;
  RowSource source;
  RowSet rows;
  DecoderInfo info;         // complete but for what is learned
  std::string fingerprint;  // of configuration and data, for checkpoints

  const Lexicon& lexicon() const { return transcripts->lexicon(); }
  // Rows, labels and targets of a split.
  at::Tensor Rows(const std::string& split) const;
  at::Tensor Labels(const std::string& split) const;
  at::Tensor Targets(const std::string& split) const;
  // Whose feeling each row of a split is about.
  std::vector<std::string> Holders(const std::string& split) const;
};

// The language model that the activations were taken from, in the configuration's dtype. Throws
// UsageError if none was given, and Error, naming both, if it is another one.
std::shared_ptr<const LanguageModel> LoadTrainingModel(const TrainingRun& run,
                                                       const TrainingData& data, bool trainable);

// Sets temperature and abstention in `info` by logits [n, classes] on dev, and logs them (event
// "calibration").
void Calibrate(DecoderInfo& info, const at::Tensor& dev_logits, const TrainingData& data,
               const Config& config, MetricsLog& log);

// The loop's options from the configuration's keys of the same names.
LoopOptions MakeLoopOptions(const TrainingRun& run, const TrainingData& data);

// Figures of a finished decoder on every split.
nlohmann::ordered_json Figures(const Decoder& decoder, const TrainingData& data);

// Kinds: write weights and whatever else they need into the folder and return it as it will be
// loaded; `body` is their part of decoder.json.
std::unique_ptr<Decoder> TrainProbe(const TrainingRun& run, TrainingData& data, MetricsLog& log,
                                    nlohmann::ordered_json& body);
std::unique_ptr<Decoder> TrainSmall(const TrainingRun& run, TrainingData& data, MetricsLog& log,
                                    nlohmann::ordered_json& body);
// Kinds that ask the language model: see decode/oracle/oracle.h.
std::unique_ptr<Decoder> TrainOracle(const TrainingRun& run, TrainingData& data, MetricsLog& log,
                                     nlohmann::ordered_json& body);
// Kinds in which nothing is learned: choices on dev, and calibration.
std::unique_ptr<Decoder> TrainSelfie(const TrainingRun& run, TrainingData& data, MetricsLog& log,
                                     nlohmann::ordered_json& body);
std::unique_ptr<Decoder> TrainLogitLens(const TrainingRun& run, TrainingData& data, MetricsLog& log,
                                        nlohmann::ordered_json& body);

}  // namespace extrospect
