// Fits the decoders that ask the language model itself; see decode/oracle/oracle.h.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <limits>
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
#include "train/loop/epochs.h"
#include "train/loop/loop.h"
#include "train/oracle/context_task.h"
#include "train/oracle/oracle_init.h"
#include "train/oracle/oracle_loss.h"
#include "train/oracle/oracle_questions.h"
#include "train/oracle/oracle_rows.h"
#include "train/run.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;

constexpr int kContextExamples = 32;  // held out, to measure

// A question of a step, and what it is about.
struct Question {
  RowRecipe recipe = {};
  at::Tensor own_row = {};  // [hooks, d_model]: of context prediction, instead of a training row
  Exchange exchange = {};
};

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
        mix_(QuestionMix::FromConfig(config)),
        seed_(static_cast<uint64_t>(config.Integer("seed"))),
        device_(weights_.input.mean.device()),
        rows_(data, device_),
        epochs_(seed_, "oracle/epoch", rows_.size()) {
    CollectParameters();
    if (data.info.kind == "oracle") {
      rows_.MeasureClasses(data, config.Number("resample.pull"));
      nothing_token_ = TokenOfNothing();
    }
    // Dev rows in equal steps, so that every emotion has a chance.
    const int64_t n = data.Rows("dev").size(0), wanted = std::min(n, config.Integer("eval_rows"));
    std::vector<int64_t> chosen;
    for (int64_t i = 0; i < wanted; ++i) chosen.push_back(i * n / wanted);
    const std::vector<std::string> holders = data.Holders("dev");
    for (const int64_t i : chosen) eval_holders_.push_back(holders[static_cast<size_t>(i)]);
    if (data.info.kind == "oracle" && config.Number("context.share") > 0) {
      context_.emplace(config.Text("context.activations"), data.info, *model_,
                       config.Integer("context.max_tokens"));
      RandomStream random(seed_, "oracle/context/dev");
      for (int i = 0; i < kContextExamples; ++i) {
        held_out_.push_back(Tokenize(context_->Draw(/*held_out=*/true, random)));
      }
    }
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
      drawn_ = Draw(step);
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
    if (context_) metrics["context"] = ContextFigures();
    return {-dev.cross_entropy, std::move(metrics)};
  }

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

  // The token by which an answer says "nothing"; −1 if another word begins with the same.
  int32_t TokenOfNothing() const {
    const auto tokens = [&](const std::string& text) {
      return model_->tokenizer->Encode(text, /*parse_special=*/false).ids;
    };
    const std::string opening = FeelsOpening("user");
    const size_t place = tokens(opening).size();
    std::vector<int32_t> first;
    for (const std::string& word : SpokenWords(data_.lexicon())) {
      const std::vector<int32_t> all = tokens(opening + " " + word);
      first.push_back(all.size() > place ? all[place] : -1);
    }
    const int32_t nothing = first[static_cast<size_t>(data_.lexicon().nothing())];
    return std::count(first.begin(), first.end(), nothing) == 1 ? nothing : -1;
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

  // The step's questions: epochs over the rows are permutations, each with a stream of its own.
  std::vector<Question> Draw(int64_t step) {
    RandomStream random(seed_, "oracle/questions/" + std::to_string(step));
    RandomStream faint(seed_, "oracle/faint/" + std::to_string(step));
    const int64_t size = config_.Integer("batch");
    const auto& split = data_.rows.split.at("train");
    noise_ = DrawNoise(step, size);
    std::vector<Question> questions;
    for (int64_t at = step * size; at < (step + 1) * size; ++at) {
      if (context_ && random.Uniform() < config_.Number("context.share")) {
        questions.push_back(Tokenize(context_->Draw(/*held_out=*/false, random)));
        continue;
      }
      const int64_t row = epochs_.Row(at);
      const int64_t example =
          data_.rows.example[static_cast<size_t>(split[static_cast<size_t>(row)])];
      Example labels = data_.transcripts->examples()[static_cast<size_t>(example)];
      const bool taught = Teach(step, row, noise_[at - step * size], random, labels);
      const QuestionAnswer qa = DrawQuestion(labels, data_.lexicon(), mix_, random);
      questions.push_back({.recipe = {.row = row}, .exchange = Tokenize(qa)});
      // A made-up row tells what a class is like, and nothing of this transcript.
      if (data_.info.kind == "oracle" && !taught && qa.of_class_only &&
          random.Uniform() < config_.Number("resample.share")) {
        RowRecipe& recipe = questions.back().recipe;
        recipe = rows_.MakeUp(row, random);
        // Of a faint feeling, it is known only which it would be, not whether it is to be named.
        if (qa.names_class && labels.classes[0] != data_.lexicon().nothing() &&
            faint.Uniform() < config_.Number("resample.faint")) {
          recipe.strength = faint.Uniform();
          questions.back().exchange.excluded = nothing_token_;
        }
      }
    }
    return questions;
  }

  // For all questions of a step as a whole, so that its parts see what they would have seen
  // together: [questions, hooks, d_model].
  at::Tensor DrawNoise(int64_t step, int64_t size) const {
    RandomStream random(seed_, "oracle/noise/" + std::to_string(step));
    const at::Tensor& spread = rows_.spread();
    const at::Generator generator = at::detail::createCPUGenerator(random.Next());
    const at::Tensor noise = at::randn({size, spread.size(0), spread.size(1)}, generator,
                                       at::TensorOptions(at::kFloat).device(at::kCPU));
    return noise.to(device_) * (spread * config_.Number("noise"));
  }

  // In the first steps, ever more rarely, the right answer is drawn from what the reading behind
  // the words' vectors holds likely: the model learns to say what is put into it before it learns
  // what to make of it. Labels are too noisy to teach both at once, and they never name some words.
  bool Teach(int64_t step, int64_t row, const at::Tensor& noise, RandomStream& random,
             Example& labels) const {
    if (!start_.reading) return false;
    const auto steps = static_cast<double>(config_.Integer("taught_steps"));
    const double share =
        std::max(config_.Number("taught_share"), 1.0 - static_cast<double>(step) / steps);
    if (random.Uniform() >= share) return false;
    const at::Tensor scores =
        start_.reading->HeldOut((rows_.rows()[row] + noise).view({1, -1}), {row});
    const at::Tensor sums = at::softmax(scores[0], 0).cumsum(0).to(at::kCPU);
    const float* const first = sums.const_data_ptr<float>();
    const auto place =
        std::lower_bound(first, first + sums.numel() - 1, static_cast<float>(random.Uniform()));
    labels.classes = {place - first};
    labels.description.clear();
    labels.intensity = 0;
    return true;
  }

  Exchange Tokenize(const QuestionAnswer& qa) {
    const OraclePrompt prompt = MakeOraclePrompt(*model_,
                                                 {.layers = LayersText(data_.info.hooks),
                                                  .placeholder = spec_.placeholder,
                                                  .n_vectors = weights_.input.n_vectors()},
                                                 qa.question, qa.answer);
    prefix_ = prompt.prefix;
    return MakeExchange(*model_, prompt);
  }

  Question Tokenize(const ContextExample& example) {
    return {.own_row = example.row, .exchange = Tokenize(example.question)};
  }

  // Loss in nats per token of held-out context questions, and the same where each is asked about
  // the next one's activations: what the activations themselves contribute.
  ordered_json ContextFigures() {
    const at::NoGradGuard no_grad;
    int64_t answer_tokens = 0;
    for (const Question& question : held_out_) answer_tokens += question.exchange.n_answer();
    const auto loss = [&] {
      return AnswerLoss(held_out_, Inputs(held_out_), {}).item<double>() /
             static_cast<double>(answer_tokens);
    };
    const double real = loss();
    std::vector<at::Tensor> rows;
    for (const Question& question : held_out_) rows.push_back(question.own_row);
    for (size_t i = 0; i < rows.size(); ++i) held_out_[i].own_row = rows[(i + 1) % rows.size()];
    const double shuffled = loss();
    for (size_t i = 0; i < rows.size(); ++i) held_out_[i].own_row = rows[i];
    return {{"loss", real}, {"loss_shuffled", shuffled}};
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
      RandomStream random(seed_, "oracle/dropout/" + step + "/" + std::to_string(part));
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
                             prefix_, exchanges, VectorsOf(questions, input));
  }

  const TrainingData& data_;
  const Config& config_;
  OracleSpec spec_;
  OracleStart start_;
  OracleWeights weights_;
  std::shared_ptr<const LanguageModel> model_;
  QuestionMix mix_;
  uint64_t seed_;
  at::Device device_;
  OracleRows rows_;
  at::Tensor log_factor_, shift_;  // of an affine input
  std::optional<ContextTask> context_;
  std::vector<Question> held_out_;  // context questions from dev
  std::vector<Parameter> parameters_;
  std::vector<int32_t> prefix_;  // of every prompt
  int32_t nothing_token_ = -1;
  Epochs epochs_;
  std::vector<Question> drawn_;  // of the latest step
  at::Tensor noise_;             // of the same, [questions, hooks, d_model]
  int64_t drawn_step_ = -1;
  at::Tensor eval_rows_, eval_targets_, eval_labels_;
  std::vector<std::string> eval_holders_;
};

// The share of the reading's scores beside the answers' by which dev's cross-entropy is least, each
// at its best temperature. Without shares to try, 0.
double BestReadingShare(const at::Tensor& answers, const at::Tensor& reading,
                        const std::vector<double>& shares, const TrainingData& data,
                        MetricsLog& log) {
  const at::Tensor targets = data.Targets("dev").to(at::kCPU);
  const at::Tensor labels = data.Labels("dev").to(at::kCPU);
  double best = 0, least = std::numeric_limits<double>::infinity();
  for (const double share : shares) {
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
  const int64_t best_step = RunTraining(trainee, MakeLoopOptions(run, data), log).best_step;
  OracleWeights weights = trainee.Weights();
  const double dropout = run.kind == "oracle" ? config.Number("lora.dropout") : 0.0;
  const Oracle uncalibrated(data.info, spec, weights, model);
  at::Tensor dev = uncalibrated.AnswerScores(data.Rows("dev"), data.Holders("dev"));
  if (const at::Tensor reading = uncalibrated.ReadingScores(data.Rows("dev")); reading.defined()) {
    spec.reading_share =
        BestReadingShare(dev, reading, config.NumberList("input.reading_shares"), data, log);
    dev = CombinedScores(dev, reading, spec.reading_share, data.lexicon().nothing());
  }
  Calibrate(data.info, dev.to(data.Targets("dev").device()), data, config, log);
  if (run.ranks.first()) {
    std::error_code ignored;
    std::filesystem::remove(run.output / "decoder.json", ignored);
    body = SaveOracle(run.output, data.info, spec, weights, dropout);
    body["best_step"] = best_step;
  }
  return std::make_unique<Oracle>(data.info, std::move(spec), std::move(weights), model);
}

}  // namespace extrospect
