// Fits the decoders that ask the language model itself; see decode/oracle/oracle.h.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "decode/oracle/combined_scores.h"
#include "decode/oracle/oracle.h"
#include "model/index_tensor.h"
#include "train/judge.h"
#include "train/loop/loop.h"
#include "train/oracle/naming_fit.h"
#include "train/oracle/oracle_init.h"
#include "train/oracle/oracle_loss.h"
#include "train/oracle/oracle_rows.h"
#include "train/oracle/question_source.h"
#include "train/run.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;

class OracleTrainee : public Trainee {
 public:
  OracleTrainee(const TrainingData& data, const Config& config, OracleSpec spec, OracleStart start,
                std::shared_ptr<const LanguageModel> model)
      : data_(data),
        config_(config),
        spec_(std::move(spec)),
        start_(std::move(start)),
        weights_(start_.weights),
        model_(std::move(model)),
        rows_(data, weights_.input.mean.device()),
        source_(data, config,
                {.layers = LayersText(data.info.hooks),
                 .placeholder = spec_.placeholder,
                 .n_vectors = weights_.input.n_vectors()},
                start_.reading ? &*start_.reading : nullptr, rows_, model_) {
    CollectParameters();
    if (data.info.kind == "oracle") {
      rows_.MeasureClasses(data, config.Number("resample.pull"));
    }
    // Dev rows in equal steps, so that every emotion has a chance.
    const int64_t n = data.Rows("dev").size(0), wanted = std::min(n, config.Integer("eval_rows"));
    std::vector<int64_t> chosen;
    for (int64_t i = 0; i < wanted; ++i) chosen.push_back(i * n / wanted);
    const std::vector<std::string> holders = data.Holders("dev");
    for (const int64_t i : chosen) eval_holders_.push_back(holders[static_cast<size_t>(i)]);
    const at::Tensor index = IndexTensor(chosen, data.Rows("dev").device());
    eval_rows_ = data.Rows("dev").index_select(0, index);
    eval_targets_ = data.Targets("dev").index_select(0, index).to(at::kCPU);
    eval_labels_ = data.Labels("dev").index_select(0, index).to(at::kCPU);
  }

  std::vector<Parameter> Parameters() const override { return parameters_; }

  int64_t Parts() const override {
    const int64_t size = PartSize();
    return (config_.Integer("batch") + size - 1) / size;
  }

  // Every answer token of a step counts the same, whatever part it is in.
  at::Tensor Loss(int64_t step, int64_t part) override {
    if (step != drawn_step_) {
      noise_ = source_.Noise(step);
      drawn_ = source_.Draw(step, noise_);
      drawn_step_ = step;
    }
    int64_t answer_tokens = 0;
    for (const Question& question : drawn_) answer_tokens += question.exchange.n_answer();
    return SumOfLosses(part) * (static_cast<double>(Parts()) / static_cast<double>(answer_tokens));
  }

  Evaluation Evaluate() override {
    const at::Tensor scores = Reader()->AnswerScores(eval_rows_, eval_holders_);
    const double temperature = FitTemperature(scores, eval_targets_);
    const Judgement dev = Judge(data_.lexicon(), at::log_softmax(scores / temperature, 1),
                                eval_labels_, eval_targets_);
    ordered_json metrics = dev.ToJson();
    if (!source_.held_out().empty()) metrics["context"] = ContextFigures();
    return {-dev.cross_entropy, std::move(metrics)};
  }

  std::string ContextFingerprint() const { return source_.ContextFingerprint(); }

  // Copies of the weights as they are.
  OracleWeights Weights() const {
    const at::NoGradGuard no_grad;
    OracleWeights copy;
    copy.input = Input();
    copy.adapter = weights_.adapter;
    const auto detach = [](at::Tensor& tensor) {
      if (tensor.defined()) tensor = tensor.detach().clone();
    };
    for (at::Tensor* const tensor :
         {&copy.input.map, &copy.input.codes, &copy.input.scale, &copy.input.bias}) {
      detach(*tensor);
    }
    for (BlockAdapter& block : copy.adapter.blocks) {
      for (LowRank& low_rank : block.low_rank) {
        detach(low_rank.a);
        detach(low_rank.b);
      }
      detach(block.attention_vector);
      detach(block.mlp_vector);
    }
    return copy;
  }

  std::unique_ptr<Oracle> Reader() const {
    return std::make_unique<Oracle>(data_.info, spec_, Weights(), model_);
  }

 private:
  void CollectParameters() {
    const auto add = [&](const std::string& name, at::Tensor& tensor, bool decay,
                         double rate = 1.0) {
      if (!tensor.defined()) return;
      // Inference tensors cannot be trained, hence the copy.
      tensor = at::empty_like(tensor).copy_(tensor).requires_grad_(true);
      parameters_.push_back({name, tensor, decay, rate});
    };
    for (size_t block = 0; block < weights_.adapter.blocks.size(); ++block) {
      BlockAdapter& adapter = weights_.adapter.blocks[block];
      const std::string prefix = "blocks." + std::to_string(block) + ".";
      for (size_t i = 0; i < kTargets; ++i) {
        const std::string name = prefix + TargetName(static_cast<Target>(i));
        add(name + ".a", adapter.low_rank[i].a, true);
        add(name + ".b", adapter.low_rank[i].b, true);
      }
      add(prefix + "attention_vector", adapter.attention_vector, false);
      add(prefix + "mlp_vector", adapter.mlp_vector, false);
    }
    OracleInput& input = weights_.input;
    if (data_.info.kind == "oracle") {
      // Sums over all of a row's units: what is a small step for a unit is a big one for the sum.
      const double rate = config_.Number("input.rate");
      add("input.map", input.map, false, rate);
      add("input.codes", input.codes, false, rate);
    }
    if (input.scale.defined()) {
      // A factor and a shift in units of what they change.
      log_factor_ = at::zeros_like(input.scale);
      shift_ = at::zeros_like(input.bias);
      add("input.log_factor", log_factor_, false);
      add("input.shift", shift_, false);
    }
  }

  OracleInput Input() const {
    OracleInput input = weights_.input;
    if (input.scale.defined()) {
      const at::Tensor unit = weights_.input.scale.unsqueeze(1) * rows_.spread().mean(1, true);
      input.scale = weights_.input.scale * log_factor_.exp();
      input.bias = weights_.input.bias * log_factor_.exp().unsqueeze(1) + shift_ * unit;
    }
    return input;
  }

  // Loss in nats per token of held-out context questions, and the same where each is asked about
  // the next one's activations: what the activations themselves contribute.
  ordered_json ContextFigures() const {
    std::vector<Question> questions = source_.held_out();
    const double real = MeanLoss(questions);
    const at::Tensor first = questions.front().own_row;
    for (size_t i = 0; i < questions.size(); ++i) {
      questions[i].own_row = i + 1 < questions.size() ? questions[i + 1].own_row : first;
    }
    return {{"loss", real}, {"loss_shuffled", MeanLoss(questions)}};
  }

  // Nats per answer token, a batch of questions at a time.
  double MeanLoss(const std::vector<Question>& questions) const {
    const at::NoGradGuard no_grad;
    const auto size = static_cast<size_t>(PartSize());
    double sum = 0;
    int64_t answer_tokens = 0;
    for (size_t begin = 0; begin < questions.size(); begin += size) {
      const size_t end = std::min(begin + size, questions.size());
      const std::vector<Question> part(questions.begin() + static_cast<std::ptrdiff_t>(begin),
                                       questions.begin() + static_cast<std::ptrdiff_t>(end));
      for (const Question& question : part) answer_tokens += question.exchange.n_answer();
      sum += AnswerLoss(part, Inputs(part), {}).item<double>();
    }
    return sum / static_cast<double>(answer_tokens);
  }

  // What questions are about, [questions, hooks, d_model].
  at::Tensor Inputs(const std::vector<Question>& questions) const {
    std::vector<RowRecipe> recipes;
    for (const Question& question : questions) recipes.push_back(question.recipe);
    at::Tensor input = rows_.Make(recipes);
    for (size_t i = 0; i < questions.size(); ++i) {
      if (questions[i].own_row.defined()) {
        input.select(0, static_cast<int64_t>(i)).copy_(questions[i].own_row);
      }
    }
    return input;
  }

  // What is injected: [questions, vectors, d_model]. Words are weighed by readings that did not see
  // the row; of a made-up row, the one whose deviation it has.
  at::Tensor VectorsOf(const std::vector<Question>& questions, const at::Tensor& rows) const {
    const OracleInput input = Input();
    if (!start_.reading) return input.Vectors(rows);
    std::vector<int64_t> seen;
    for (const Question& question : questions) {
      const RowRecipe& recipe = question.recipe;
      seen.push_back(question.own_row.defined() ? -1
                     : recipe.deviation >= 0    ? recipe.deviation
                                                : recipe.row);
    }
    return input.Vectors(rows, start_.reading->HeldOut(rows.flatten(1), seen));
  }

  int64_t PartSize() const {
    const int64_t size = config_.Integer("micro_batch"), batch = config_.Integer("batch");
    return size > 0 ? std::min(size, batch) : batch;
  }

  // Over the tokens of a part's answers, with noise and dropout.
  at::Tensor SumOfLosses(int64_t part) {
    const auto n = static_cast<int64_t>(drawn_.size());
    const int64_t first = part * PartSize(), count = std::min(n - first, PartSize());
    const std::string step = std::to_string(drawn_step_);
    const at::Tensor input = Inputs(drawn_) + noise_;
    AdapterDropout dropout;
    if (data_.info.kind == "oracle" && config_.Number("lora.dropout") > 0) {
      RandomStream random(static_cast<uint64_t>(config_.Integer("seed")),
                          "oracle/dropout/" + step + "/" + std::to_string(part));
      dropout = {config_.Number("lora.dropout"), at::detail::createCPUGenerator(random.Next())};
    }
    return AnswerLoss({drawn_.begin() + first, drawn_.begin() + first + count},
                      input.narrow(0, first, count), std::move(dropout));
  }

  // The sum over the answers' tokens; input: [questions, hooks, d_model].
  at::Tensor AnswerLoss(const std::vector<Question>& questions, const at::Tensor& input,
                        AdapterDropout dropout) const {
    std::vector<Exchange> exchanges;
    for (const Question& question : questions) exchanges.push_back(question.exchange);
    std::optional<AdapterPass> adapter;
    if (!weights_.adapter.blocks.empty()) {
      adapter.emplace(weights_.adapter, model_->architecture, model_->transformer->dtype(),
                      std::move(dropout));
    }
    return SumOfAnswerLosses(*model_->transformer, adapter ? &*adapter : nullptr, spec_.site,
                             source_.prefix(), exchanges, VectorsOf(questions, input));
  }

  const TrainingData& data_;
  const Config& config_;
  OracleSpec spec_;
  OracleStart start_;
  OracleWeights weights_;
  std::shared_ptr<const LanguageModel> model_;
  OracleRows rows_;
  QuestionSource source_;
  at::Tensor log_factor_, shift_;  // of an affine input
  std::vector<Parameter> parameters_;
  std::vector<Question> drawn_;  // of the latest step
  at::Tensor noise_;             // of the same, [questions, hooks, d_model]
  int64_t drawn_step_ = -1;
  at::Tensor eval_rows_, eval_targets_, eval_labels_;
  std::vector<std::string> eval_holders_;
};

}  // namespace

std::unique_ptr<Decoder> TrainOracle(const TrainingRun& run, TrainingData& data, MetricsLog& log,
                                     ordered_json& body) {
  const Config& config = run.config;
  const auto model = LoadTrainingModel(run, data, /*trainable=*/true);
  OracleSpec spec;
  spec.site.block = config.Integer("injection.block");
  spec.site.rule = ParseInjectionRule(config.Text("injection.rule"));
  spec.site.coefficient = config.Number("injection.coefficient");
  spec.placeholder = config.Text("prompt.placeholder");
  spec.question = config.Text("prompt.question");
  spec.tails = config.Integer("tails");
  spec.max_answer_tokens = config.Integer("max_answer_tokens");
  if (spec.site.block >= model->architecture.n_layers) {
    throw UsageError("no such block")
        .At("injection.block")
        .Expected("-1 to " + std::to_string(model->architecture.n_layers - 1))
        .Found(std::to_string(spec.site.block));
  }
  data.info.holder_independent = false;

  OracleStart start = StartOracle(data, config, run.kind, spec, *model, log);
  OracleTrainee trainee(data, config, spec, std::move(start), model);
  LoopOptions options = MakeLoopOptions(run, data);
  options.fingerprint += trainee.ContextFingerprint();
  const int64_t best_step = RunTraining(trainee, options, log).best_step;
  OracleWeights weights = trainee.Weights();
  // The plain oracle, without vectors of words, is one without a linear reading's help altogether.
  if (weights.input.keys.defined() && SharesNaming(config)) {
    weights.naming = FitNamingReading(run, data, weights.input.mean.device(), log);
  }
  const double dropout = run.kind == "oracle" ? config.Number("lora.dropout") : 0.0;
  const Oracle uncalibrated(data.info, spec, weights, model);
  at::Tensor dev = uncalibrated.AnswerScores(data.Rows("dev"), data.Holders("dev"));
  if (weights.naming.defined()) {
    const NamingScores reading = uncalibrated.NamingScoresOf(data.Rows("dev"));
    spec.reading_share = BestReadingShare(dev, reading, config, data, log);
    dev = CombinedScores(dev, reading, spec.reading_share, data.lexicon().nothing());
  }
  if (spec.reading_share == 0) weights.naming = {};
  Calibrate(data.info, dev.to(data.Targets("dev").device()), data, config, log);
  if (run.ranks.first()) {
    std::error_code ignored;
    std::filesystem::remove(run.output / "decoder.json", ignored);
    body = SaveOracle(run.output, data.info, *model, spec, weights, dropout);
    body["best_step"] = best_step;
  }
  return std::make_unique<Oracle>(data.info, std::move(spec), std::move(weights), model);
}

}  // namespace extrospect
