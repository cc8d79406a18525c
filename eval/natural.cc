// Natural transcripts: the label that an author meant is the truth.
#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include "base/interrupt.h"
#include "base/progress.h"
#include "base/random.h"
#include "eval/figures/channel_scores.h"
#include "eval/run.h"
#include "model/index_tensor.h"

namespace extrospect {
namespace {

// Transcripts of the text reader that are read at a time.
constexpr size_t kTextBatch = 32;

// Where a transcript belongs in the report; empty if it is not judged.
std::string SubsetOf(const Transcript& transcript) {
  if (!transcript.hard.empty()) {
    // Hard transcripts of the training split were seen by the decoders.
    return transcript.split == "train" || transcript.split == "dev" ? ""
                                                                    : "hard/" + transcript.hard;
  }
  return transcript.split == "test" || transcript.split == "unseen" ? transcript.split : "";
}

Trial MakeTrial(const EvalSetup& setup, const Transcript& transcript, const std::string& subset) {
  Trial trial;
  trial.id = "natural/" + transcript.id;
  trial.truth = "natural";
  trial.subset = subset;
  trial.concept_word = transcript.emotion;
  trial.labels =
      transcript.emotions.empty() ? std::vector{transcript.emotion} : transcript.emotions;
  trial.transcript = transcript.id;
  trial.holder = transcript.holder;
  trial.seed = setup.options.seed;
  const Emotion& emotion = setup.lexicon[setup.lexicon.Find(transcript.emotion)];
  trial.family = emotion.family;
  trial.truth_valence = emotion.valence;
  trial.truth_arousal = emotion.arousal;
  return trial;
}

// The transcripts that are judged, by index.
std::vector<std::pair<size_t, Trial>> JudgedTranscripts(const EvalSetup& setup) {
  std::vector<std::pair<size_t, Trial>> judged;
  std::map<std::string, int64_t> counts;
  for (size_t i = 0; i < setup.transcripts.size(); ++i) {
    const Transcript& transcript = setup.transcripts[i];
    const std::string subset = SubsetOf(transcript);
    if (subset.empty() || setup.lexicon.Find(transcript.emotion) < 0) continue;
    if (setup.options.limit >= 0 && ++counts[subset] > setup.options.limit) continue;
    judged.emplace_back(i, MakeTrial(setup, transcript, subset));
  }
  return judged;
}

}  // namespace

TextReaderChoice ChooseTextReader(const EvalSetup& setup, const TextReader& reader) {
  TextReaderChoice choice;
  std::vector<const Transcript*> dev;
  for (const Transcript& transcript : setup.transcripts) {
    if (transcript.split == "dev" && setup.lexicon.Find(transcript.emotion) >= 0) {
      dev.push_back(&transcript);
    }
  }
  RandomStream random(setup.options.seed, "text reader/dev");
  const std::vector<int64_t> order = random.Permutation(static_cast<int64_t>(dev.size()));
  std::vector<const Transcript*> chosen;
  for (const int64_t index : order) {
    if (static_cast<int64_t>(chosen.size()) < setup.options.natural.dev) {
      chosen.push_back(dev[index]);
    }
  }
  const std::vector<TextReader::Answer> answers = reader.Read(chosen);
  std::vector<std::vector<double>> raw, pmi;
  std::vector<int64_t> truths;
  double right_raw = 0, right_pmi = 0, rank_raw = 0, rank_pmi = 0, n = 0;
  for (size_t i = 0; i < chosen.size(); ++i) {
    raw.push_back(answers[i].raw);
    pmi.push_back(answers[i].pmi);
    truths.push_back(setup.lexicon.Find(chosen[i]->emotion));
    if (truths.back() == setup.lexicon.nothing()) continue;
    TrialRecord a, b;
    a.trial = b.trial = MakeTrial(setup, *chosen[i], "dev");
    FillFromDistribution(setup.lexicon, LogSoftmax(raw.back()), 0.0, a);
    FillFromDistribution(setup.lexicon, LogSoftmax(pmi.back()), 0.0, b);
    right_raw += a.rank <= 1;
    right_pmi += b.rank <= 1;
    rank_raw += std::log(a.rank);
    rank_pmi += std::log(b.rank);
    ++n;
  }
  choice.temperature_raw = FitTemperature(raw, truths);
  choice.temperature_pmi = FitTemperature(pmi, truths);
  // Few transcripts and many words leave few right answers: the geometric mean of ranks decides.
  if (n > 0 && rank_raw < rank_pmi) choice.channel = "text-only-raw";
  const auto figures = [&](double right, double rank, double temperature) {
    nlohmann::ordered_json object;
    object["top1"] = n > 0 ? nlohmann::ordered_json(right / n) : nullptr;
    object["geometric_mean_rank"] = n > 0 ? nlohmann::ordered_json(std::exp(rank / n)) : nullptr;
    object["temperature"] = temperature;
    return object;
  };
  choice.report["chosen"] = choice.channel;
  choice.report["dev_transcripts"] = chosen.size();
  choice.report["text-only-raw"] = figures(right_raw, rank_raw, choice.temperature_raw);
  choice.report["text-only-pmi"] = figures(right_pmi, rank_pmi, choice.temperature_pmi);
  return choice;
}

void RecordTextReader(const EvalSetup& setup, const TextReaderChoice& choice,
                      const TextReader::Answer& answer, const Trial& trial,
                      const RecordSink& sink) {
  TrialRecord record;
  record.trial = trial;
  record.channel = "text-only-raw";
  FillFromScores(setup.lexicon, answer.raw, choice.temperature_raw, record);
  sink(record);
  record.channel = "text-only-pmi";
  FillFromScores(setup.lexicon, answer.pmi, choice.temperature_pmi, record);
  sink(record);
}

void RunNatural(const EvalSetup& setup, const TextReader& reader, const TextReaderChoice& choice,
                const RecordSink& sink) {
  const auto judged = JudgedTranscripts(setup);
  RandomStream sentence_order(setup.options.seed, "natural/sentences");
  const std::vector<int64_t> order =
      sentence_order.Permutation(static_cast<int64_t>(judged.size()));
  std::vector<uint8_t> wants_sentence(judged.size(), 0);
  for (size_t i = 0; i < order.size(); ++i) {
    wants_sentence[order[i]] = static_cast<int64_t>(i) < setup.options.natural.sentences;
  }
  for (const DecoderChannel& channel : setup.decoders) {
    const DecoderInfo& info = channel.decoder->info();
    const ActivationTable::Rows rows =
        setup.table.Read(info.hooks, info.selection, info.token_pool);
    std::vector<int64_t> indices;
    std::vector<TrialRecord> records;
    std::vector<uint8_t> sentences;
    for (size_t k = 0; k < judged.size(); ++k) {
      const auto& [index, trial] = judged[k];
      if (!rows.has[index]) continue;
      indices.push_back(static_cast<int64_t>(index));
      TrialRecord& record = records.emplace_back();
      record.trial = trial;
      record.first_position = rows.first_position[index];
      record.position = rows.position[index];
      sentences.push_back(wants_sentence[k]);
    }
    const at::Tensor selected = rows.values.index_select(0, IndexTensor(indices, at::kCPU));
    ReadWithControls(channel, selected, std::move(records), sentences, setup.options.seed,
                     "natural", sink);
    ThrowIfInterrupted("run again; an evaluation begins anew");
  }

  std::vector<const Transcript*> train;
  for (const Transcript& transcript : setup.transcripts) {
    if (transcript.split == "train") train.push_back(&transcript);
  }
  const BagOfWords bag(setup.lexicon, train);
  std::vector<std::vector<double>> dev_scores;
  std::vector<int64_t> dev_truths;
  for (const Transcript& transcript : setup.transcripts) {
    const int64_t label = setup.lexicon.Find(transcript.emotion);
    if (transcript.split != "dev" || label < 0) continue;
    dev_scores.push_back(bag.Scores(transcript));
    dev_truths.push_back(label);
  }
  const double temperature = FitTemperature(dev_scores, dev_truths);
  for (const auto& [index, trial] : judged) {
    TrialRecord record;
    record.trial = trial;
    record.channel = "bag-of-words";
    FillFromScores(setup.lexicon, bag.Scores(setup.transcripts[index]), temperature, record);
    sink(record);
    record.channel = "prior";
    FillFromScores(setup.lexicon, bag.prior(), 1.0, record);
    sink(record);
  }

  // The text-only reader costs a forward pass a transcript: a sample, if so configured.
  RandomStream random(setup.options.seed, "text reader/natural");
  const std::vector<int64_t> sample = random.Permutation(static_cast<int64_t>(judged.size()));
  const int64_t wanted = setup.options.natural.text_reader;
  const size_t n =
      wanted < 0 ? sample.size() : std::min<size_t>(sample.size(), static_cast<size_t>(wanted));
  Progress progress("text-only reader", "transcripts", static_cast<int64_t>(n), setup.progress);
  for (size_t first = 0; first < n; first += kTextBatch) {
    std::vector<const Transcript*> batch;
    const size_t last = std::min(first + kTextBatch, n);
    for (size_t i = first; i < last; ++i) {
      batch.push_back(&setup.transcripts[judged[sample[i]].first]);
    }
    const std::vector<TextReader::Answer> answers = reader.Read(batch);
    for (size_t i = first; i < last; ++i) {
      RecordTextReader(setup, choice, answers[i - first], judged[sample[i]].second, sink);
    }
    progress.Add(static_cast<int64_t>(last - first));
    ThrowIfInterrupted("run again; an evaluation begins anew");
  }
}

}  // namespace extrospect
