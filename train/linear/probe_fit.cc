#include "train/linear/probe_fit.h"

#include <ATen/ATen.h>

#include <string>

#include "train/linear/linear.h"
#include "train/linear/probe_trainee.h"

namespace extrospect {

ProbeFit FitProbe(const Lexicon& lexicon, const ProbeData& data, const Config& config,
                  LoopOptions loop, MetricsLog& log) {
  const std::string solver = config.Text("solver");
  const int64_t features = data.train.size(1);
  LinearMap map = {at::zeros({lexicon.size(), features}, data.train.options()),
                   at::zeros({lexicon.size()}, data.train.options())};
  if (data.train_targets.select(1, lexicon.nothing()).sum().item<double>() == 0) {
    map.bias[lexicon.nothing()] = kNeverRead;
  }
  if (solver != "softmax") {
    map = BestDiscriminant(lexicon, data, config.NumberList("lda.shrinkages"),
                           config.NumberList("lda.pulls"), "lda", log)
              .map;
  }
  ProbeFit fit;
  fit.weights.weight = map.weight;
  fit.weights.bias = map.bias;
  if (solver == "lda") return fit;
  ProbeTrainee trainee(lexicon, data, map, config);
  loop.name = "softmax";
  loop.steps = config.Integer("softmax.steps");
  loop.eval_every = config.Integer("softmax.eval_every");
  loop.patience = config.Integer("softmax.patience");
  loop.checkpoint_every = config.Integer("checkpoint_every");
  loop.warmup = config.Integer("softmax.warmup");
  loop.adamw.learning_rate = config.Number("softmax.learning_rate");
  loop.adamw.weight_decay = config.Number("softmax.weight_decay");
  fit.best_step = RunTraining(trainee, loop, log).best_step;
  fit.weights = trainee.Weights();
  return fit;
}

}  // namespace extrospect
