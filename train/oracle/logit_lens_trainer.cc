// Nothing is trained here: what the logit lens takes away before and after it is chosen on dev.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <limits>
#include <memory>
#include <utility>

#include "base/interrupt.h"
#include "decode/oracle/logit_lens.h"
#include "train/judge.h"
#include "train/run.h"

namespace extrospect {

std::unique_ptr<Decoder> TrainLogitLens(const TrainingRun& run, TrainingData& data, MetricsLog& log,
                                        nlohmann::ordered_json& body) {
  const c10::InferenceMode inference;
  const auto model = LoadTrainingModel(run, data, /*trainable=*/false);
  const at::Device device = model->transformer->weights().blocks.back().device;
  const at::Tensor train = data.Rows("train"), dev = data.Rows("dev");
  const at::Tensor targets = data.Targets("dev").to(device);
  const at::Tensor labels = data.Labels("dev").to(device);
  const at::Tensor mean = train.mean(0).to(device);
  const at::Tensor zero = at::zeros({data.lexicon().size()}, mean.options());

  LogitLensSpec best;
  LogitLensWeights weights;
  at::Tensor best_scores;
  double least = std::numeric_limits<double>::infinity();
  for (const bool centre : {false, true}) {
    ThrowIfInterrupted("the choice starts anew");
    const LogitLens lens(data.info, {centre, /*minus_prior=*/false}, {mean, zero}, model);
    const at::Tensor raw = lens.WordScores(dev);
    const at::Tensor prior = lens.WordScores(train).mean(0);
    for (const bool minus_prior : {false, true}) {
      const at::Tensor scores = minus_prior ? raw - prior : raw;
      const double temperature = FitTemperature(scores, targets);
      const Judgement judged =
          Judge(data.lexicon(), at::log_softmax(scores / temperature, 1), labels, targets);
      log.Add({{"event", "lens"},
               {"centre", centre},
               {"minus_prior", minus_prior},
               {"dev", judged.ToJson()}});
      if (judged.cross_entropy < least || !best_scores.defined()) {
        least = judged.cross_entropy;
        best = {centre, minus_prior};
        weights = {mean, prior};
        best_scores = scores;
      }
    }
  }
  Calibrate(data.info, best_scores.to(data.Targets("dev").device()), data, run.config, log);
  std::error_code ignored;
  std::filesystem::remove(run.output / "decoder.json", ignored);
  body = LogitLens::Save(run.output, best, weights);
  return std::make_unique<LogitLens>(data.info, best, std::move(weights), model);
}

}  // namespace extrospect
