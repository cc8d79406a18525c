#include "train/linear/discriminant.h"

#include <ATen/ATen.h>

#include <limits>

namespace extrospect {

ProbeData ProbeDataOf(const RowSet& set) {
  const auto select = [&](const at::Tensor& all, const char* split) {
    return all.index_select(0, set.Indices(split).to(all.device()));
  };
  return {select(set.rows, "train").flatten(1), select(set.targets, "train"),
          select(set.rows, "dev").flatten(1), select(set.targets, "dev"), select(set.label, "dev")};
}

ProbeData Standardised(const ProbeData& data, const Standardiser& standardise) {
  ProbeData standard = data;
  standard.train = standardise(data.train);
  standard.dev = standardise(data.dev);
  return standard;
}

Judgement JudgeLogits(const Lexicon& lexicon, const at::Tensor& logits, double temperature,
                      const ProbeData& data) {
  return Judge(lexicon, at::log_softmax(logits / temperature, 1), data.dev_label, data.dev_targets);
}

Discriminant BestDiscriminant(const Lexicon& lexicon, const ProbeData& data,
                              const std::vector<double>& shrinkages,
                              const std::vector<double>& pulls, const std::string& event,
                              MetricsLog& log) {
  const DiscriminantAnalysis analysis(lexicon, data.train, data.train_targets);
  double least = std::numeric_limits<double>::infinity();
  Discriminant best;
  for (const double shrinkage : shrinkages) {
    for (const double pull : pulls) {
      const LinearMap map = analysis.Solve(shrinkage, pull);
      const at::Tensor logits = map(data.dev);
      const double temperature = FitTemperature(logits, data.dev_targets);
      const Judgement dev = JudgeLogits(lexicon, logits, temperature, data);
      log.Add({{"event", event}, {"shrinkage", shrinkage}, {"pull", pull}, {"dev", dev.ToJson()}});
      if (dev.cross_entropy < least || !best.map.weight.defined()) {
        least = dev.cross_entropy;
        best = {{map.weight / temperature, map.bias / temperature}, shrinkage, pull, temperature};
      }
    }
  }
  return best;
}

}  // namespace extrospect
