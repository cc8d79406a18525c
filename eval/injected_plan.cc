#include "eval/injected_plan.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/random.h"
#include "base/text.h"
#include "eval/self_report.h"
#include "model/hooks.h"

namespace extrospect {
namespace {

// For a free answer, and a turn between the transcript and the question where the template wants
// one.
constexpr int64_t kAnswerTokens = 64;
// Fewer content tokens leave no room for an injection and for reading behind it.
constexpr size_t kMinContent = 8;

std::string LevelName(const char* prefix, double dose) {
  char text[48];
  std::snprintf(text, sizeof text, "%s%g", prefix, dose);
  return text;
}

struct Level {
  std::string name;
  double value = 0.0;
  bool raw = false;
};

std::vector<Level> LevelsOf(const EvalOptions::Injected& injected) {
  std::vector<Level> levels;
  for (const double dose : injected.doses) levels.push_back({LevelName("", dose), dose, false});
  for (const double dose : injected.raw_doses) {
    levels.push_back({LevelName("raw:", dose), dose, true});
  }
  return levels;
}

// Places of the concepts that are injected, among those that have a vector.
std::vector<size_t> ChosenConcepts(const EvalOptions::Injected& injected,
                                   const EmotionVectors& vectors) {
  const bool all = injected.concepts.size() == 1 && injected.concepts.front() == "all";
  if (!all) {
    for (const std::string& name : injected.concepts) {
      if (std::find(vectors.concepts.begin(), vectors.concepts.end(), name) ==
          vectors.concepts.end()) {
        throw UsageError("a concept that is to be injected has no vector")
            .At("injected.concepts")
            .Expected("emotions of the lexicon with train transcripts")
            .Found("'" + name + "'");
      }
    }
  }
  std::vector<size_t> chosen;
  for (size_t i = 0; i < vectors.concepts.size(); ++i) {
    if (all || std::find(injected.concepts.begin(), injected.concepts.end(), vectors.concepts[i]) !=
                   injected.concepts.end()) {
      chosen.push_back(i);
    }
  }
  const auto limit = static_cast<size_t>(injected.max_concepts);
  if (limit == 0 || chosen.size() <= limit) return chosen;
  std::vector<size_t> spread;
  for (size_t i = 0; i < limit; ++i) spread.push_back(chosen[i * chosen.size() / limit]);
  return spread;
}

// Vectors are made from rows of the block, so that it has to be in the activation file.
int64_t InjectionBlock(const EvalSetup& setup) {
  const int64_t n_layers = setup.model.architecture.n_layers;
  int64_t first_read = n_layers;
  for (const DecoderChannel& channel : setup.decoders) {
    for (const int64_t block : channel.blocks()) first_read = std::min(first_read, block);
  }
  const std::string& text = setup.options.injected.block;
  if (text == "auto") {
    const int64_t wanted = std::min(ParseLayers("40%", n_layers).front(), first_read - 3);
    std::optional<int64_t> nearest;
    for (const std::string& hook : setup.table.reader().hooks()) {
      const int64_t block = ParseHookName(hook);
      if (block < 0 || block >= first_read) continue;
      if (!nearest || std::abs(block - wanted) < std::abs(*nearest - wanted)) nearest = block;
    }
    if (nearest) return *nearest;
    throw Error("there is no block to inject vectors after")
        .At(setup.table.reader().path().string())
        .Expected("a hook below the first that a decoder reads, " + HookName(first_read))
        .Found(Join(setup.table.reader().hooks()))
        .Hint("extract that block too (best: " + std::to_string(std::max<int64_t>(0, wanted)) +
              "), or set injected.enabled to false to judge natural transcripts alone");
  }
  const std::vector<int64_t> blocks = ParseLayers(text, n_layers);
  if (blocks.size() != 1 || blocks.front() < 0) {
    throw UsageError("vectors are injected after one block")
        .At("injected.block")
        .Expected("auto, a block number or a depth percentage")
        .Found(text);
  }
  return blocks.front();
}

// Tokens that the longest question takes, and the answer behind it.
int64_t RoomForQuestions(const EvalSetup& setup) {
  const EvalOptions::SelfReport& options = setup.options.self_report;
  if (!options.enabled) return 0;
  const YesNoQuestions yes_no = DefaultYesNoQuestions();
  std::vector<std::string> questions = {options.question, yes_no.detection, yes_no.inverted,
                                        yes_no.match};
  questions.insert(questions.end(), yes_no.factual_no.begin(), yes_no.factual_no.end());
  questions.insert(questions.end(), yes_no.factual_yes.begin(), yes_no.factual_yes.end());
  size_t longest = 0;
  for (const std::string& question : questions) {
    longest = std::max(longest, AskAlone(setup.model, question, options.answer).tokens.size());
  }
  return static_cast<int64_t>(longest) + kAnswerTokens;
}

}  // namespace

InjectedPlan PlanInjected(const EvalSetup& setup) {
  const EvalOptions& options = setup.options;
  const int64_t block = InjectionBlock(setup);
  for (const DecoderChannel& channel : setup.decoders) {
    for (const int64_t read : channel.blocks()) {
      if (read > block) continue;
      throw UsageError("a decoder reads where the vector goes in, or before it")
          .At("decoder " + channel.name)
          .Expected("a hook after block " + std::to_string(block))
          .Found(HookName(read))
          .Hint("lower injected.block, or train a decoder on a later hook");
    }
  }
  InjectedPlan plan;
  plan.block = block;
  const EmotionVectors vectors =
      MakeEmotionVectors(setup.table, setup.transcripts, setup.lexicon, HookName(block),
                         options.injected.selection, options.injected.project_out);
  const PrepareOptions prepare = PrepareOptionsOf(setup.table.reader().origin().config);
  const int64_t room = RoomForQuestions(setup);
  int64_t too_long = 0;
  for (size_t i = 0; i < setup.transcripts.size(); ++i) {
    const Transcript& transcript = setup.transcripts[i];
    if (transcript.split != "test" || transcript.emotion != kNothing || !transcript.hard.empty()) {
      continue;
    }
    if (options.limit >= 0 && static_cast<int64_t>(plan.transcripts.size()) >= options.limit) break;
    PreparedTranscript prepared = Prepare(setup.model, transcript, prepare);
    const auto length = static_cast<int64_t>(prepared.tokens.size());
    if (length + room > setup.model.architecture.context_length) {
      ++too_long;
      continue;
    }
    InjectionSpan span = MakeSpan(prepared, options.injected.span);
    if (span.positions.size() + span.after.size() < kMinContent) continue;
    plan.transcripts.push_back(i);
    plan.prepared.push_back(std::move(prepared));
    plan.spans.push_back(std::move(span));
  }
  if (plan.transcripts.empty()) {
    Error error("injected trials need neutral transcripts of the test split");
    error.At(setup.table.reader().path().string())
        .Expected("transcripts with \"emotion\": \"" + std::string(kNothing) +
                  "\" and \"split\": \"test\"")
        .Hint("set injected.enabled to false to judge natural transcripts alone");
    if (too_long > 0) {
      error.Found(std::to_string(too_long) + ", too long for a question behind them");
    }
    throw error;
  }
  plan.mean_norm = MeanContentNorm(setup.model, plan.prepared, block, options.batch_tokens);

  const std::vector<size_t> chosen = ChosenConcepts(options.injected, vectors);
  const std::vector<Level> levels = LevelsOf(options.injected);
  std::vector<at::Tensor> directions;
  RandomStream random(options.seed, "injected/transcripts");
  const std::vector<int64_t> order =
      random.Permutation(static_cast<int64_t>(plan.transcripts.size()));
  size_t next_transcript = 0;
  const auto add = [&](const Level& level, Trial trial, size_t place, double raw_norm) {
    InjectedTrial entry;
    entry.transcript = place;
    trial.truth = "injected";
    trial.transcript = setup.transcripts[plan.transcripts[place]].id;
    trial.holder = setup.transcripts[plan.transcripts[place]].holder;
    trial.seed = options.seed;
    trial.dose_level = level.name;
    entry.norm = level.raw ? level.value * raw_norm : level.value * plan.mean_norm;
    trial.dose = entry.norm / plan.mean_norm;
    trial.raw = entry.norm / raw_norm;
    trial.block = block;
    trial.span_first = plan.spans[place].positions.front();
    trial.span_last = plan.spans[place].positions.back();
    trial.id += "/" + level.name;
    if (entry.norm > 0) {
      entry.direction = static_cast<int64_t>(directions.size()) - 1;
    } else {
      trial.truth_valence = trial.truth_arousal = Trial::kNone;
    }
    entry.trial = std::move(trial);
    plan.trials.push_back(std::move(entry));
  };
  for (const size_t index : chosen) {
    const at::Tensor vector = vectors.vectors[static_cast<int64_t>(index)];
    const double norm = vector.norm().item<double>();
    if (!(norm > 0)) continue;
    directions.push_back(vector / norm);
    plan.norms.push_back(norm);
    plan.concepts.push_back(vectors.concepts[index]);
    (vectors.unseen[index] ? plan.n_unseen : plan.n_seen) += 1;
    const Emotion& emotion = setup.lexicon[setup.lexicon.Find(vectors.concepts[index])];
    for (int64_t k = 0; k < options.injected.trials; ++k) {
      const auto place = static_cast<size_t>(order[next_transcript++ % order.size()]);
      for (const Level& level : levels) {
        Trial trial;
        trial.id = "injected/" + emotion.word + "/" + std::to_string(k);
        trial.subset = vectors.unseen[index] ? "unseen" : "seen";
        trial.concept_word = emotion.word;
        trial.labels = {emotion.word};
        trial.family = emotion.family;
        trial.truth_valence = emotion.valence;
        trial.truth_arousal = emotion.arousal;
        add(level, std::move(trial), place, norm);
      }
    }
  }
  RandomStream noise(options.seed, "injected/random directions");
  for (int64_t k = 0; k < options.injected.random; ++k) {
    const at::Tensor direction = at::empty({setup.model.architecture.d_model},
                                           at::TensorOptions(at::kFloat).device(at::kCPU));
    float* const values = direction.mutable_data_ptr<float>();
    for (int64_t i = 0; i < direction.numel(); ++i) values[i] = static_cast<float>(noise.Normal());
    directions.push_back(direction / direction.norm());
    const auto place = static_cast<size_t>(order[next_transcript++ % order.size()]);
    for (const Level& level : levels) {
      // A random direction has no length of its own, hence no raw multiplier.
      if (level.raw || level.value == 0) continue;
      Trial trial;
      trial.id = "injected/random-" + std::to_string(k);
      trial.subset = "random";
      add(level, std::move(trial), place, Trial::kNone);
    }
  }
  plan.directions = at::stack(directions);
  return plan;
}

}  // namespace extrospect
