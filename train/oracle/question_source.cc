#include "train/oracle/question_source.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <utility>

namespace extrospect {
namespace {

constexpr int kHeldOut = 256;  // context questions to measure by

}  // namespace

QuestionSource::QuestionSource(const TrainingData& data, const Config& config,
                               OraclePromptFormat format, const StackedReading* reading,
                               const OracleRows& rows, std::shared_ptr<const LanguageModel> model)
    : data_(data),
      config_(config),
      format_(std::move(format)),
      reading_(reading),
      rows_(rows),
      model_(std::move(model)),
      mix_(QuestionMix::FromConfig(config)),
      seed_(static_cast<uint64_t>(config.Integer("seed"))),
      epochs_(seed_, "oracle/epoch", rows.size()),
      prefix_(MakeOraclePrompt(*model_, format_, FeelsQuestion(""), "").prefix) {
  if (data.info.kind != "oracle") return;
  nothing_token_ = TokenOfNothing();
  if (config.Number("context.share") > 0) {
    context_.emplace(config.Text("context.activations"), data.info, *data.transcripts, *model_,
                     config.Integer("context.max_tokens"));
    RandomStream random(seed_, "oracle/context/dev");
    for (int i = 0; i < kHeldOut; ++i) {
      held_out_.push_back(Tokenize(context_->Draw(/*held_out=*/true, random)));
    }
  }
}

std::vector<Question> QuestionSource::Draw(int64_t step, const at::Tensor& noise) {
  RandomStream random(seed_, "oracle/questions/" + std::to_string(step));
  RandomStream faint(seed_, "oracle/faint/" + std::to_string(step));
  const int64_t size = config_.Integer("batch");
  const auto& split = data_.rows.split.at("train");
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
    const bool taught = Teach(step, row, noise[at - step * size], random, labels);
    const QuestionAnswer qa = DrawQuestion(labels, data_.lexicon(), mix_, random);
    questions.push_back({.recipe = {.row = row}, .exchange = Tokenize(qa)});
    // A made-up row tells what a class is like, and nothing of this transcript.
    if (data_.info.kind == "oracle" && !taught && qa.of_class >= 0) {
      MakeUp(qa, random, faint, questions.back());
    }
  }
  return questions;
}

at::Tensor QuestionSource::Noise(int64_t step) const {
  RandomStream random(seed_, "oracle/noise/" + std::to_string(step));
  const at::Tensor& spread = rows_.spread();
  const at::Generator generator = at::detail::createCPUGenerator(random.Next());
  const at::Tensor noise = at::randn({config_.Integer("batch"), spread.size(0), spread.size(1)},
                                     generator, at::TensorOptions(at::kFloat).device(at::kCPU));
  return noise.to(spread.device()) * (spread * config_.Number("noise"));
}

// The token by which an answer says "nothing"; −1 if another word begins with the same.
int32_t QuestionSource::TokenOfNothing() const {
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

// In the first steps, ever more rarely, the right answer is drawn from what the reading behind the
// words' vectors holds likely: the model learns to say what is put into it before it learns what to
// make of it. Labels are too noisy to teach both at once, and they never name some words.
bool QuestionSource::Teach(int64_t step, int64_t row, const at::Tensor& noise, RandomStream& random,
                           Example& labels) const {
  if (reading_ == nullptr) return false;
  const auto steps = static_cast<double>(config_.Integer("taught_steps"));
  const double share =
      std::max(config_.Number("taught_share"), 1.0 - static_cast<double>(step) / steps);
  if (random.Uniform() >= share) return false;
  const at::Tensor scores = reading_->HeldOut((rows_.rows()[row] + noise).view({1, -1}), {row});
  const at::Tensor sums = at::softmax(scores[0], 0).cumsum(0).to(at::kCPU);
  const float* const first = sums.const_data_ptr<float>();
  const auto place =
      std::lower_bound(first, first + sums.numel() - 1, static_cast<float>(random.Uniform()));
  labels.classes = {place - first};
  labels.description.clear();
  labels.intensity = 0;
  return true;
}

// Sometimes another row of the same class, and sometimes a faint one.
void QuestionSource::MakeUp(const QuestionAnswer& qa, RandomStream& random, RandomStream& faint,
                            Question& question) const {
  if (random.Uniform() >= config_.Number("resample.share")) return;
  question.recipe = rows_.MakeUp(question.recipe.row, qa.of_class, random);
  // Of a faint feeling, it is known only which it would be, not whether it is to be named.
  if (qa.names_class && qa.of_class != data_.lexicon().nothing() &&
      faint.Uniform() < config_.Number("resample.faint")) {
    question.recipe.strength = faint.Uniform();
    question.exchange.excluded = nothing_token_;
  }
}

Exchange QuestionSource::Tokenize(const QuestionAnswer& qa) const {
  return MakeExchange(*model_, MakeOraclePrompt(*model_, format_, qa.question, qa.answer));
}

Question QuestionSource::Tokenize(const ContextExample& example) const {
  return {.own_row = example.row, .exchange = Tokenize(example.question)};
}

}  // namespace extrospect
