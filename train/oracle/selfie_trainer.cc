// Nothing is trained here: of some interpretation prompts (Patchscopes, SelfIE; see
// decode/oracle/oracle.h) the one is chosen that reads a part of dev best.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "decode/oracle/oracle.h"
#include "model/index_tensor.h"
#include "train/judge.h"
#include "train/run.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;

// All prompts that the configuration spans. Tails wait until one is chosen: first tokens tell
// prompts apart, at a fraction of the time.
std::vector<OracleSpec> Candidates(const Config& config, const DecoderInfo& info) {
  OracleSpec spec;
  spec.placeholder = config.Text("prompt.placeholder");
  spec.max_answer_tokens = config.Integer("max_answer_tokens");
  spec.tails = 0;
  std::vector<OracleSpec> candidates;
  for (const std::string& question : config.TextList("prompt.questions")) {
    for (const std::string& rule : config.TextList("injection.rules")) {
      for (const double block : config.NumberList("injection.blocks")) {
        for (const double coefficient : config.NumberList("injection.coefficients")) {
          spec.question = question;
          spec.site = {static_cast<int64_t>(block), ParseInjectionRule(rule), coefficient};
          if (spec.site.block < -1 || spec.site.block >= info.n_layers) {
            throw UsageError("no such block")
                .At("injection.blocks")
                .Expected("-1 to " + std::to_string(info.n_layers - 1))
                .Found(std::to_string(spec.site.block));
          }
          candidates.push_back(spec);
        }
      }
    }
  }
  if (candidates.empty()) throw UsageError("there is no interpretation prompt to choose");
  return candidates;
}

// Some dev rows in equal steps, so that every emotion has a chance.
struct ChoiceRows {
  at::Tensor rows, targets, labels;
  std::vector<std::string> holders;
};

ChoiceRows Choose(const TrainingData& data, int64_t wanted) {
  const at::Tensor all = data.Rows("dev");
  const std::vector<std::string> holders = data.Holders("dev");
  const int64_t n = all.size(0);
  ChoiceRows chosen;
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < std::min(n, wanted); ++i) {
    indices.push_back(i * n / std::min(n, wanted));
    chosen.holders.push_back(holders[static_cast<size_t>(indices.back())]);
  }
  const at::Tensor index = IndexTensor(indices, all.device());
  chosen.rows = all.index_select(0, index);
  chosen.targets = data.Targets("dev").index_select(0, index).to(at::kCPU);
  chosen.labels = data.Labels("dev").index_select(0, index).to(at::kCPU);
  return chosen;
}

}  // namespace

std::unique_ptr<Decoder> TrainSelfie(const TrainingRun& run, TrainingData& data, MetricsLog& log,
                                     ordered_json& body) {
  const c10::InferenceMode inference;
  const Config& config = run.config;
  const std::vector<OracleSpec> candidates = Candidates(config, data.info);
  const auto model = LoadTrainingModel(run, data, /*trainable=*/false);
  data.info.holder_independent = false;
  OracleWeights weights;
  weights.input.mean =
      data.Rows("train").mean(0).to(model->transformer->weights().blocks.front().device);

  const ChoiceRows chosen = Choose(data, config.Integer("choice_rows"));
  OracleSpec best;
  double least = std::numeric_limits<double>::infinity();
  Progress progress("selfie", "prompts", static_cast<int64_t>(candidates.size()), run.progress);
  for (const OracleSpec& candidate : candidates) {
    ThrowIfInterrupted("the choice starts anew");
    const Oracle oracle(data.info, candidate, weights, model);
    const at::Tensor raw = oracle.AnswerScores(chosen.rows, chosen.holders);
    for (const bool minus_prior : {false, true}) {
      const at::Tensor scores = minus_prior ? raw - oracle.PriorScores(chosen.holders) : raw;
      const double temperature = FitTemperature(scores, chosen.targets);
      const Judgement dev = Judge(data.lexicon(), at::log_softmax(scores / temperature, 1),
                                  chosen.labels, chosen.targets);
      log.Add({{"event", "prompt"},
               {"question", candidate.question},
               {"block", candidate.site.block},
               {"rule", InjectionRuleName(candidate.site.rule)},
               {"coefficient", candidate.site.coefficient},
               {"minus_prior", minus_prior},
               {"dev", dev.ToJson()}});
      if (dev.cross_entropy < least) {
        least = dev.cross_entropy;
        best = candidate;
        best.minus_prior = minus_prior;
      }
    }
    progress.Add(1);
  }
  best.tails = config.Integer("tails");

  const Oracle uncalibrated(data.info, best, weights, model);
  const at::Tensor dev = uncalibrated.AnswerScores(data.Rows("dev"), data.Holders("dev"));
  Calibrate(data.info, dev.to(data.Targets("dev").device()), data, config, log);
  std::error_code ignored;
  std::filesystem::remove(run.output / "decoder.json", ignored);
  body = SaveOracle(run.output, data.info, *model, best, weights, /*dropout=*/0);
  return std::make_unique<Oracle>(data.info, std::move(best), std::move(weights), model);
}

}  // namespace extrospect
