#include "train/oracle/naming_fit.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "decode/oracle/combined_scores.h"
#include "train/judge.h"
#include "train/linear/probe_fit.h"
#include "train/linear/standardise.h"
#include "train/options.h"

namespace extrospect {

NamingReading FitNamingReading(const TrainingRun& run, const TrainingData& data, at::Device device,
                               MetricsLog& log) {
  const ProbeData raw = ProbeDataOf(data.rows);
  const Standardiser standardise(raw.train);
  const ProbeData splits = Standardised(raw, standardise);
  Config config = TrainingConfig("probe");
  config.Set("seed=" + std::to_string(run.config.Integer("seed")));
  LoopOptions loop;
  loop.progress = run.progress;
  const ProbeWeights fit = FitProbe(data.lexicon(), splits, config, loop, log).weights;

  NamingReading naming;
  // Rows less OracleInput::mean, which is the standardiser's but for rounding, need no more than
  // its scale.
  naming.weight = (fit.weight * standardise.scale).to(device);
  naming.bias = fit.bias.to(device);
  // The mean of "nothing" as the discriminant analysis has it.
  const at::Tensor calm = splits.train_targets.select(1, data.lexicon().nothing());
  if (calm.sum().item<double>() > 0) {
    const at::Tensor mean = at::mv(splits.train.t(), calm) / calm.sum();
    naming.calm = fit.Logits(mean.unsqueeze(0)).squeeze(0).to(device);
  }
  return naming;
}

bool SharesNaming(const Config& config) {
  const std::vector<double> shares = config.NumberList("input.reading_shares");
  return std::any_of(shares.begin(), shares.end(), [](double share) { return share > 0; });
}

double BestReadingShare(const at::Tensor& answers, const NamingScores& reading,
                        const Config& config, const TrainingData& data, MetricsLog& log) {
  const at::Tensor targets = data.Targets("dev").to(at::kCPU);
  const at::Tensor labels = data.Labels("dev").to(at::kCPU);
  double best = 0, least = std::numeric_limits<double>::infinity();
  for (const double share : config.NumberList("input.reading_shares")) {
    const at::Tensor scores = CombinedScores(answers, reading, share, data.lexicon().nothing());
    const at::Tensor log_p = at::log_softmax(scores / FitTemperature(scores, targets), 1);
    const Judgement dev = Judge(data.lexicon(), log_p, labels, targets);
    log.Add({{"event", "reading_share"}, {"share", share}, {"dev", dev.ToJson()}});
    if (dev.cross_entropy < least) {
      least = dev.cross_entropy;
      best = share;
    }
  }
  return best;
}

}  // namespace extrospect
