#include "train/run.h"

#include <ATen/ATen.h>

#include <cmath>
#include <system_error>

#include "base/error.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/version.h"
#include "decode/load.h"
#include "decode/oracle/logit_lens.h"
#include "decode/oracle/oracle.h"
#include "extract/prepare.h"
#include "model/index_tensor.h"
#include "model/weights/weight_file.h"
#include "train/judge.h"
#include "train/linear/token_attention.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;

constexpr const char* kSplits[] = {"train", "dev", "test", "unseen"};
constexpr int64_t kCostlyRows = 300;

at::Tensor Select(const at::Tensor& all, const RowSet& rows, const std::string& split) {
  return all.index_select(0, rows.Indices(split).to(all.device()));
}

// `wanted` of n rows in equal steps.
at::Tensor Sample(int64_t n, int64_t wanted, at::Device device) {
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < wanted; ++i) rows.push_back(i * n / wanted);
  return IndexTensor(rows, device);
}

std::vector<std::string> Chosen(const std::vector<std::string>& all, const at::Tensor& rows) {
  const at::Tensor host = rows.to(at::kCPU);
  std::vector<std::string> chosen;
  for (int64_t i = 0; i < host.size(0); ++i) {
    chosen.push_back(all[static_cast<size_t>(host.const_data_ptr<int64_t>()[i])]);
  }
  return chosen;
}

// Mean absolute error and Pearson correlation of valence or arousal with the true word's.
ordered_json AffectFigures(const at::Tensor& read, const std::vector<double>& truth) {
  const auto n = static_cast<int64_t>(truth.size());
  const at::Tensor wanted = at::tensor(truth, at::TensorOptions(at::kDouble).device(at::kCPU));
  const at::Tensor found = read.to(at::kDouble);
  const at::Tensor a = found - found.mean(), b = wanted - wanted.mean();
  const double spread = std::sqrt((a * a).sum().item<double>() * (b * b).sum().item<double>());
  return {{"mae", n == 0 ? 0.0 : (found - wanted).abs().mean().item<double>()},
          {"correlation", spread > 0 ? (a * b).sum().item<double>() / spread : 0.0}};
}

}  // namespace

at::Tensor TrainingData::Rows(const std::string& split) const {
  return Select(rows.rows, rows, split);
}
at::Tensor TrainingData::Labels(const std::string& split) const {
  return Select(rows.label, rows, split);
}
at::Tensor TrainingData::Targets(const std::string& split) const {
  return Select(rows.targets, rows, split);
}
std::vector<std::string> TrainingData::Holders(const std::string& split) const {
  std::vector<std::string> holders;
  const auto found = rows.split.find(split);
  if (found == rows.split.end()) return holders;
  for (const int64_t row : found->second) {
    holders.push_back(transcripts->examples()[rows.example[row]].holder);
  }
  return holders;
}

std::shared_ptr<const LanguageModel> LoadTrainingModel(const TrainingRun& run,
                                                       const TrainingData& data, bool trainable) {
  if (run.model.empty()) {
    throw UsageError("a decoder of kind " + run.kind + " asks the language model itself")
        .Expected("--model with the model that the activations were taken from");
  }
  auto model = std::make_shared<const LanguageModel>(
      LoadModel(run.model, WeightOptions{.dtype = ParseDtype(run.config.Text("dtype")),
                                         .devices = run.devices,
                                         .trainable = trainable}));
  if (model->sha256 != data.info.model_sha256) {
    throw Error("the activations were taken from another model")
        .At(run.activations.string())
        .Expected(model->name + ", sha256 " + model->sha256)
        .Found(data.info.model_name + ", sha256 " + data.info.model_sha256);
  }
  return model;
}

LoopOptions MakeLoopOptions(const TrainingRun& run, const TrainingData& data) {
  const Config& config = run.config;
  LoopOptions options;
  options.name = run.kind;
  options.steps = config.Integer("steps");
  options.eval_every = config.Integer("eval_every");
  options.patience = config.Integer("patience");
  options.checkpoint_every = config.Integer("checkpoint_every");
  options.adamw.learning_rate = config.Number("learning_rate");
  options.adamw.weight_decay = config.Number("weight_decay");
  options.adamw.clip_norm = config.Number("clip_norm");
  options.warmup = config.Integer("warmup");
  options.schedule = ParseSchedule(config.Text("schedule"));
  options.folder = run.output;
  options.resume = run.resume;
  options.fingerprint = data.fingerprint;
  options.progress = run.progress;
  options.ranks = run.ranks;
  return options;
}

void Calibrate(DecoderInfo& info, const at::Tensor& dev_logits, const TrainingData& data,
               const Config& config, MetricsLog& log) {
  const at::Tensor targets = data.Targets("dev"), label = data.Labels("dev");
  info.temperature = FitTemperature(dev_logits, targets);
  const at::Tensor before = at::log_softmax(dev_logits, 1);
  const at::Tensor after = at::log_softmax(dev_logits / info.temperature, 1);
  const Abstention abstention =
      FitAbstention(after, label, info.lexicon.nothing(), config.Number("max_false_alarms"));
  info.abstain_below = abstention.below;
  log.Add({{"event", "calibration"},
           {"temperature", info.temperature},
           {"ece_before", CalibrationError(before, label)},
           {"ece_after", CalibrationError(after, label)},
           {"abstain_below", abstention.below},
           {"dev_false_alarms", abstention.false_alarms},
           {"dev_hits", abstention.hits}});
}

ordered_json Figures(const Decoder& decoder, const TrainingData& data) {
  const Lexicon& lexicon = data.lexicon();
  ordered_json figures = ordered_json::object();
  for (const char* const split : kSplits) {
    at::Tensor rows = data.Rows(split);
    if (rows.size(0) == 0) continue;
    ThrowIfInterrupted("what was trained is kept: --resume goes on from the last checkpoint");
    at::Tensor label = data.Labels(split).to(at::kCPU);
    at::Tensor targets = data.Targets(split).to(at::kCPU);
    std::vector<std::string> holders = data.Holders(split);
    if (decoder.costly() && rows.size(0) > kCostlyRows && split == std::string("train")) {
      // How well the training rows themselves are read is worth a sample only.
      const at::Tensor sample = Sample(rows.size(0), kCostlyRows, rows.device());
      rows = rows.index_select(0, sample);
      label = label.index_select(0, sample.to(at::kCPU));
      targets = targets.index_select(0, sample.to(at::kCPU));
      holders = Chosen(holders, sample);
    }
    const int64_t n = rows.size(0);
    const Scores scores = decoder.Read(rows, holders);
    ordered_json figure = Judge(lexicon, scores.log_p, label, targets).ToJson();
    figure["ece"] = CalibrationError(scores.log_p, label);
    int64_t neutral = 0, alarms = 0, hits = 0;
    std::vector<double> valence, arousal;
    for (int64_t i = 0; i < n; ++i) {
      const int64_t truth = label.const_data_ptr<int64_t>()[i];
      const bool felt =
          !Abstains(decoder.info(), scores.log_p.const_data_ptr<float>() + i * lexicon.size());
      const bool is_neutral = truth == lexicon.nothing();
      neutral += is_neutral;
      alarms += is_neutral && felt;
      hits += !is_neutral && felt;
      valence.push_back(lexicon[truth].valence);
      arousal.push_back(lexicon[truth].arousal);
    }
    if (neutral > 0) {
      figure["false_alarms"] = static_cast<double>(alarms) / static_cast<double>(neutral);
    }
    if (neutral < n) figure["hits"] = static_cast<double>(hits) / static_cast<double>(n - neutral);
    if (data.transcripts->has_affect()) {
      figure["valence"] = AffectFigures(scores.valence, valence);
      figure["arousal"] = AffectFigures(scores.arousal, arousal);
    }
    figures[split] = figure;
  }
  return figures;
}

ordered_json Train(const TrainingRun& run) {
  const bool in_parts = IsOracleKind(run.kind) && run.kind != "selfie";
  if (run.ranks.several() && !in_parts) {
    throw UsageError("training of kind " + run.kind + " is not shared between processes")
        .Found(std::to_string(run.ranks.size()) + " ranks")
        .Hint("run it without mpirun or srun; it is soon done");
  }
  const ActivationReader reader(run.activations);
  LabelOptions labels;
  labels.lexicon = run.config.Text("lexicon");
  labels.targets = run.targets;
  labels.limit = run.config.Integer("limit");
  const LabelledTranscripts transcripts(reader, labels);
  if (run.progress != nullptr && !transcripts.note().empty()) {
    std::fprintf(run.progress, "%s\n", transcripts.note().c_str());
  }
  MakeFolder(run.output);

  MetricsLog log(run.output);
  TrainingData data;
  data.transcripts = &transcripts;
  data.source = ChooseRows(reader, transcripts, run.config, run.device, log, run.progress);
  data.rows = data.source.pool == "attention"
                  ? FitTokenAttention(reader, transcripts, run.config, run.device, run.ranks,
                                      data.source, log, run.progress)
                  : LoadRowSet(reader, transcripts, data.source, run.device);
  for (const char* const split : {"train", "dev"}) {
    if (data.rows.Indices(split).size(0) > 0) continue;
    throw Error(std::string("no labelled transcript of the ") + split + " split has such tokens")
        .At(run.activations.string())
        .Found("selection " + data.source.selection)
        .Hint("choose another with --set selection=…");
  }
  const ActivationOrigin& origin = reader.origin();
  DecoderInfo& info = data.info;
  info.kind = run.kind;
  info.name = run.output.filename().string();
  info.model_name = origin.model_name;
  info.model_sha256 = origin.model_sha256;
  info.architecture = origin.architecture;
  info.tokenizer_sha256 = origin.tokenizer_sha256;
  info.chat_template_sha256 = origin.chat_template_sha256;
  info.n_layers = origin.n_layers;
  info.d_model = origin.d_model;
  info.hooks = data.source.hooks;
  info.rendering = FormatName(PrepareOptionsOf(origin.config).format);
  info.selection = data.source.selection;
  info.pool = data.source.pool;
  info.token_pool = data.source.token_pool;
  info.lexicon = transcripts.lexicon();
  info.training_config = run.config.Resolved().dump();
  info.training_data_sha256 = transcripts.Sha256();
  data.fingerprint = Sha256Hex(run.kind + info.training_config + info.training_data_sha256);

  ordered_json body = ordered_json::object();
  std::unique_ptr<Decoder> decoder;
  if (run.kind == "probe") decoder = TrainProbe(run, data, log, body);
  if (run.kind == "small") decoder = TrainSmall(run, data, log, body);
  if (run.kind == "selfie") decoder = TrainSelfie(run, data, log, body);
  if (run.kind == kLogitLensKind) decoder = TrainLogitLens(run, data, log, body);
  if (decoder == nullptr && IsOracleKind(run.kind)) decoder = TrainOracle(run, data, log, body);
  if (decoder == nullptr) throw UsageError("unknown kind of decoder").Found(run.kind);
  const ordered_json figures = Figures(*decoder, data);
  ordered_json result = {{"event", "result"}, {"hooks", info.hooks}, {"selection", info.selection}};
  for (const auto& [split, figure] : figures.items()) result[split] = figure;
  log.Add(result);
  if (run.ranks.first()) {
    log.Flush();
    std::error_code ignored;
    std::filesystem::remove(run.output / kPoolFile, ignored);  // of an earlier run
    if (info.token_pool.attends()) {
      SaveTensors(run.output / kPoolFile, {{"query", info.token_pool.query()}});
    }
    WriteDecoderJson(run.output, decoder->info(), body);
    std::filesystem::remove(run.output / "checkpoint.safetensors", ignored);
  }
  return figures;
}

}  // namespace extrospect
