// The two halves of an evaluation: natural transcripts and injected vectors.
#pragma once

#include <cstdio>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "eval/activation_table.h"
#include "eval/channels.h"
#include "eval/injection.h"
#include "eval/options.h"
#include "eval/text_reader.h"
#include "model/model.h"
#include "records/lexicon.h"

namespace extrospect {

struct InjectedPlan;

// What both halves work with.
struct EvalSetup {
  const LanguageModel& model;
  const ActivationTable& table;
  const std::vector<Transcript>& transcripts;  // with the labels that count; as in `table`
  const Lexicon& lexicon;
  const std::vector<DecoderChannel>& decoders;
  const EvalOptions& options;
  std::FILE* progress;  // stream for progress, or null
};

// How the text-only reader turns the model's probabilities into an answer: chosen on dev.
struct TextReaderChoice {
  std::string channel = "text-only-pmi";
  double temperature_raw = 1.0, temperature_pmi = 1.0;
  nlohmann::ordered_json report;  // what the choice was made from
};
TextReaderChoice ChooseTextReader(const EvalSetup& setup, const TextReader& reader);

// The text-only reader's record of a trial, by its answer about the trial's transcript.
void RecordTextReader(const EvalSetup& setup, const TextReaderChoice& choice,
                      const TextReader::Answer& answer, const Trial& trial, const RecordSink& sink);

// Judges every channel on held-out transcripts: splits test and unseen, hard ones apart.
void RunNatural(const EvalSetup& setup, const TextReader& reader, const TextReaderChoice& choice,
                const RecordSink& sink);

// Judges every channel on injected vectors. Returns the design as it was carried out (block, norms,
// numbers of trials, vectors).
nlohmann::ordered_json RunInjected(const EvalSetup& setup, const InjectedPlan& plan,
                                   const TextReader& reader, const TextReaderChoice& choice,
                                   const RecordSink& sink);

}  // namespace extrospect
