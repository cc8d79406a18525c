#include "decode/oracle/oracle.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "decode/oracle/combined_scores.h"
#include "decode/probe.h"
#include "model/forward/generate.h"
#include "model/index_tensor.h"

namespace extrospect {
namespace {

// Answers that are written at the same time; each takes memory for its keys and values.
constexpr size_t kSequencesAtOnce = 256;

}  // namespace

Oracle::Oracle(DecoderInfo info, OracleSpec spec, OracleWeights weights,
               std::shared_ptr<const LanguageModel> model)
    : Decoder(std::move(info)),
      spec_(std::move(spec)),
      weights_(std::move(weights)),
      model_(std::move(model)) {
  if (!weights_.adapter.blocks.empty()) {
    adapter_.emplace(weights_.adapter, model_->architecture, model_->transformer->dtype());
  }
}

std::unique_ptr<Oracle> Oracle::Load(const DecoderFile& file, const std::filesystem::path& folder,
                                     std::shared_ptr<const LanguageModel> model) {
  CheckModel(file.info, folder, model.get());
  OracleSpec spec = ParseOracleSpec(file, (folder / "decoder.json").string());
  OracleWeights weights = LoadOracleWeights(file, spec, folder, *model);
  return std::make_unique<Oracle>(file.info, std::move(spec), std::move(weights), std::move(model));
}

OraclePrompt Oracle::Ask(const std::string& question, const std::string& answer) const {
  return MakeOraclePrompt(*model_,
                          {.layers = LayersText(info().hooks),
                           .placeholder = spec_.placeholder,
                           .n_vectors = weights_.input.n_vectors()},
                          question, answer);
}

std::string Oracle::Question(const std::string& question, const std::string& holder) const {
  std::string text = question.empty() ? spec_.question : question;
  if (text.empty()) return FeelsQuestion(holder);
  const std::string mark = "{holder}";
  for (size_t at = text.find(mark); at != text.npos; at = text.find(mark, at)) {
    text.replace(at, mark.size(), holder.empty() ? "holder" : holder);
  }
  return text;
}

std::shared_ptr<const KvSegment> Oracle::Prefix(const OraclePrompt& prompt) const {
  const std::lock_guard lock(mutex_);
  if (prefix_ == nullptr) {
    const auto length = static_cast<int64_t>(prompt.prefix.size());
    auto segment = model_->transformer->MakeSegment(length);
    const std::vector<Sequence> sequences = {{prompt.prefix, {}, segment}};
    ForwardOptions forward;
    forward.sequences = sequences;
    forward.adapter = adapter_ ? &*adapter_ : nullptr;
    model_->transformer->Forward(forward);
    prefix_ = std::move(segment);
  }
  return prefix_;
}

at::Tensor Oracle::Vectors(const at::Tensor& rows) const {
  return weights_.input.Vectors(rows.to(weights_.input.mean.device()));
}

const WordScorer& Oracle::ScorerFor(const std::string& holder) const {
  const OraclePrompt prompt = Ask(Question("", holder), FeelsOpening(holder));
  WordContext reference;
  reference.tokens = prompt.question;
  reference.tokens.insert(reference.tokens.end(), prompt.answer.begin(), prompt.answer.end());
  reference.past = {Prefix(prompt)};
  const std::lock_guard lock(mutex_);
  std::unique_ptr<WordScorer>& scorer = scorers_[holder];
  if (scorer == nullptr) {
    WordScorerOptions options;
    options.tails = spec_.tails;
    options.adapter = adapter_ ? &*adapter_ : nullptr;
    options.site = spec_.site;
    scorer = std::make_unique<WordScorer>(*model_, FeelsOpening(holder),
                                          SpokenWords(info().lexicon), reference, options);
  }
  return *scorer;
}

at::Tensor Oracle::AnswerScores(const at::Tensor& rows,
                                const std::vector<std::string>& holders) const {
  const int64_t n = rows.size(0), classes = info().lexicon.size();
  const at::Tensor vectors = Vectors(rows);
  at::Tensor scores = at::empty({n, classes}, at::TensorOptions(at::kFloat).device(at::kCPU));
  std::map<std::string, std::vector<int64_t>> groups;
  for (int64_t i = 0; i < n; ++i) groups[holders[static_cast<size_t>(i)]].push_back(i);
  for (const auto& [holder, members] : groups) {
    const OraclePrompt prompt = Ask(Question("", holder), FeelsOpening(holder));
    WordContext context;
    context.tokens = prompt.question;
    context.tokens.insert(context.tokens.end(), prompt.answer.begin(), prompt.answer.end());
    context.past = {Prefix(prompt)};
    // Rows that follow each other and are equal (controls, above all) are asked about once.
    std::vector<WordContext> contexts;
    std::vector<size_t> asked;
    for (const int64_t member : members) {
      if (contexts.empty() || !contexts.back().vectors.equal(vectors[member])) {
        context.vectors = vectors[member];
        contexts.push_back(context);
      }
      asked.push_back(contexts.size() - 1);
    }
    const std::vector<WordScores> words = ScorerFor(holder).Score(contexts);
    for (size_t k = 0; k < members.size(); ++k) {
      float* const to = scores.mutable_data_ptr<float>() + members[k] * classes;
      std::copy(words[asked[k]].log_p.begin(), words[asked[k]].log_p.end(), to);
    }
  }
  return spec_.minus_prior ? scores - PriorScores(holders) : scores;
}

at::Tensor Oracle::PriorScores(const std::vector<std::string>& holders) const {
  const auto n = static_cast<int64_t>(holders.size()), classes = info().lexicon.size();
  at::Tensor scores = at::empty({n, classes}, at::TensorOptions(at::kFloat).device(at::kCPU));
  float* to = scores.mutable_data_ptr<float>();
  std::map<std::string, const std::vector<double>*> priors;
  for (const std::string& holder : holders) {
    const std::vector<double>*& prior = priors[holder];
    if (prior == nullptr) prior = &ScorerFor(holder).reference().log_p;
    to = std::copy(prior->begin(), prior->end(), to);
  }
  return scores;
}

NamingScores Oracle::NamingScoresOf(const at::Tensor& rows) const {
  const at::Tensor& mean = weights_.input.mean;
  return weights_.naming.Scores(rows.to(mean.device()) - mean, info().lexicon.nothing());
}

Scores Oracle::ReadRows(const at::Tensor& rows, const std::vector<std::string>& holders) const {
  at::Tensor scores = AnswerScores(rows, holders);
  if (spec_.reading_share > 0) {
    scores =
        CombinedScores(scores, NamingScoresOf(rows), spec_.reading_share, info().lexicon.nothing());
  }
  return ScoresOf(info(), scores, {});
}

std::vector<std::vector<std::string>> Oracle::Continue(const at::Tensor& vectors,
                                                       const std::vector<OraclePrompt>& prompts,
                                                       const AnswerOptions& options) const {
  const auto samples = static_cast<size_t>(options.samples);
  const auto at_once = std::max<size_t>(1, kSequencesAtOnce / samples);
  std::vector<std::vector<std::string>> texts;
  for (size_t first = 0; first < prompts.size(); first += at_once) {
    const size_t count = std::min(at_once, prompts.size() - first);
    GenerateOptions generate;
    // One pass over the prompts but for their last tokens; every sample goes on from there.
    std::vector<Prompt> packed;
    std::vector<Sequence> sequences;
    std::vector<int64_t> rows;
    int64_t row = 0;
    for (size_t i = first; i < first + count; ++i) {
      const OraclePrompt& prompt = prompts[i];
      for (int64_t k = 0; k < vectors.size(1); ++k) rows.push_back(row + k);
      std::vector<int32_t> tokens = prompt.question;
      tokens.insert(tokens.end(), prompt.answer.begin(), prompt.answer.end());
      const auto total = static_cast<int64_t>(prompt.prefix.size() + tokens.size());
      const int64_t room = model_->architecture.context_length - spec_.max_answer_tokens;
      if (total > room) {
        throw UsageError("a question leaves no room for its answer in the model's context")
            .Expected("at most " + std::to_string(room) + " tokens with its prompt")
            .Found(std::to_string(total) + " tokens")
            .Hint("ask more briefly");
      }
      const int32_t last = tokens.back();
      tokens.pop_back();
      const auto length = static_cast<int64_t>(tokens.size());
      auto segment = model_->transformer->MakeSegment(length);
      for (size_t sample = 0; sample < samples; ++sample) {
        packed.push_back({{last}, {Prefix(prompt), segment}});
        if (options.streams.empty()) continue;
        generate.streams.push_back(options.streams[i] + "/" + std::to_string(sample));
      }
      row += length;
      sequences.push_back({std::move(tokens), {Prefix(prompt)}, std::move(segment)});
    }
    ForwardOptions forward;
    forward.sequences = sequences;
    forward.adapter = adapter_ ? &*adapter_ : nullptr;
    forward.injections = {InjectAt(
        spec_.site, rows,
        vectors.narrow(0, static_cast<int64_t>(first), static_cast<int64_t>(count)).flatten(0, 1))};
    model_->transformer->Forward(forward);
    generate.max_new_tokens = spec_.max_answer_tokens;
    generate.temperature = options.temperature;
    generate.seed = options.seed;
    generate.stop_tokens = model_->stop_tokens;
    generate.vocabulary = model_->tokenizer->vocab_size();
    generate.adapter = forward.adapter;
    size_t next = 0;
    for (const auto& ids : Generate(*model_->transformer, packed, generate)) {
      if (next++ % samples == 0) texts.emplace_back();
      texts.back().push_back(model_->tokenizer->Decode(ids, /*skip_special=*/true));
    }
  }
  return texts;
}

std::vector<std::vector<std::string>> Oracle::AnswersOf(const at::Tensor& rows,
                                                        const std::vector<std::string>& holders,
                                                        const AnswerOptions& options) const {
  std::vector<OraclePrompt> prompts;
  for (const std::string& holder : holders) {
    prompts.push_back(Ask(Question(options.question, holder), ""));
  }
  return Continue(Vectors(rows), prompts, options);
}

std::vector<std::string> Oracle::SentencesOf(const at::Tensor& rows, const Scores& scores,
                                             const std::vector<std::string>& holders) const {
  // The sentence begins with the word that was read, and the model goes on from there.
  const int64_t classes = info().lexicon.size(), nothing = info().lexicon.nothing();
  std::vector<std::string> sentences(static_cast<size_t>(rows.size(0)));
  std::vector<int64_t> members;
  std::vector<OraclePrompt> prompts;
  for (int64_t i = 0; i < rows.size(0); ++i) {
    const float* const row = scores.log_p.const_data_ptr<float>() + i * classes;
    const std::string& holder = holders[static_cast<size_t>(i)];
    const int64_t word =
        Abstains(info(), row) ? nothing : std::max_element(row, row + classes) - row;
    std::string& sentence = sentences[static_cast<size_t>(i)];
    if (word == nothing) {
      sentence = TemplateSentence(holder, std::string(kNothing));
      continue;
    }
    sentence = FeelsOpening(holder) + " " + info().lexicon[word].word;
    members.push_back(i);
    prompts.push_back(Ask(Question("", holder), sentence));
  }
  if (members.empty()) return sentences;
  const at::Tensor index = IndexTensor(members, rows.device());
  const std::vector<std::vector<std::string>> rest =
      Continue(Vectors(rows.index_select(0, index)), prompts, {});
  for (size_t k = 0; k < members.size(); ++k) {
    std::string& sentence = sentences[static_cast<size_t>(members[k])];
    const std::string& more = rest[k].front();
    sentence += more.substr(0, more.find('\n'));
    if (!sentence.ends_with('.')) sentence += '.';
  }
  return sentences;
}

}  // namespace extrospect
