// Injected vectors: what was added is the truth.
#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/interrupt.h"
#include "base/progress.h"
#include "eval/figures/channel_scores.h"
#include "eval/injected_plan.h"
#include "eval/run.h"
#include "eval/self_report_channels.h"
#include "model/hooks.h"

namespace extrospect {
namespace {

// Rows of one decoder in one reading, gathered over all batches.
struct Gathered {
  std::vector<at::Tensor> rows;
  std::vector<TrialRecord> records;
};

std::vector<uint8_t> SpreadMarks(size_t n, int64_t wanted) {
  std::vector<uint8_t> marks(n, 0);
  const auto count = std::min<size_t>(n, static_cast<size_t>(std::max<int64_t>(wanted, 0)));
  for (size_t i = 0; i < count; ++i) marks[i * n / count] = 1;
  return marks;
}

nlohmann::ordered_json Design(const EvalSetup& setup, const InjectedPlan& plan) {
  nlohmann::ordered_json design;
  design["block"] = plan.block;
  design["hook"] = HookName(plan.block);
  design["n_layers"] = setup.model.architecture.n_layers;
  design["mean_residual_norm"] = plan.mean_norm;
  double norm = 0;
  for (const double value : plan.norms) norm += value / static_cast<double>(plan.norms.size());
  design["mean_vector_norm"] = norm;
  design["n_concepts_seen"] = plan.n_seen;
  design["n_concepts_unseen"] = plan.n_unseen;
  design["n_trials"] = plan.trials.size();
  design["n_transcripts"] = plan.transcripts.size();
  design["span"] = setup.options.injected.span;
  return design;
}

}  // namespace

nlohmann::ordered_json RunInjected(const EvalSetup& setup, const InjectedPlan& plan,
                                   const TextReader& reader, const TextReaderChoice& choice,
                                   const RecordSink& sink) {
  const EvalOptions& options = setup.options;

  InjectionRun run;
  run.block = plan.block;
  run.directions = plan.directions;
  run.whole_depth = options.self_report.enabled;
  run.batch_tokens = options.batch_tokens;
  // Two readings a decoder: behind the span, and the decoder's own selection as a whole.
  const std::array<std::string, 2> readings = {"after", "whole"};
  for (const DecoderChannel& channel : setup.decoders) {
    for (const std::string& reading : readings) {
      run.reads.push_back({channel.blocks(), Selection::Parse(channel.decoder->info().selection),
                           reading == "after", channel.decoder->info().token_pool});
    }
  }
  std::vector<Gathered> gathered(run.reads.size());
  std::unique_ptr<SelfReportChannels> self;
  if (options.self_report.enabled) {
    self = std::make_unique<SelfReportChannels>(setup, plan, sink);
  }
  Progress progress("injected trials", "trials", static_cast<int64_t>(plan.trials.size()),
                    setup.progress);
  RunInjections(setup.model, plan.prepared, plan.spans, plan.trials, run,
                [&](const InjectedBatch& batch) {
                  for (size_t s = 0; s < run.reads.size(); ++s) {
                    for (size_t i = 0; i < batch.trials.size(); ++i) {
                      if (!batch.read[s][i]) continue;
                      TrialRecord& record = gathered[s].records.emplace_back();
                      record.trial = batch.trials[i]->trial;
                      record.reading = readings[s % readings.size()];
                      record.first_position = batch.positions[s][i].first;
                      record.position = batch.positions[s][i].second;
                      gathered[s].rows.push_back(batch.rows[s][static_cast<int64_t>(i)]);
                    }
                  }
                  if (self) self->Take(batch);
                  progress.Add(static_cast<int64_t>(batch.trials.size()));
                  ThrowIfInterrupted("run again; an evaluation begins anew");
                });
  for (size_t s = 0; s < gathered.size(); ++s) {
    if (gathered[s].records.empty()) continue;
    const bool after = run.reads[s].after_only;
    const std::vector<uint8_t> wants_sentence =
        SpreadMarks(gathered[s].records.size(), after ? options.injected.sentences : 0);
    ReadWithControls(setup.decoders[s / readings.size()], at::stack(gathered[s].rows),
                     std::move(gathered[s].records), wants_sentence, options.seed,
                     after ? "injected" : "injected/whole", sink);
  }

  // The text is the same whatever was injected: one answer a transcript serves all its trials.
  std::vector<const Transcript*> texts;
  for (const size_t index : plan.transcripts) texts.push_back(&setup.transcripts[index]);
  const std::vector<TextReader::Answer> answers = reader.Read(texts);
  for (const InjectedTrial& trial : plan.trials) {
    RecordTextReader(setup, choice, answers[trial.transcript], trial.trial, sink);
  }
  nlohmann::ordered_json design = Design(setup, plan);
  if (self) design["self_report"] = self->Describe();
  return design;
}

}  // namespace extrospect
