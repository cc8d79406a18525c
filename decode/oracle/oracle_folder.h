// What an oracle is made of, and the folder that it is kept in: its part of decoder.json,
// weights.safetensors, and the adapter as a PEFT folder.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "decode/decoder.h"
#include "decode/load.h"
#include "decode/oracle/injection_site.h"
#include "decode/oracle/naming_reading.h"
#include "decode/oracle/oracle_input.h"
#include "model/model.h"
#include "model/weights/adapter.h"

namespace extrospect {

// "oracle", "vector", "affine" or "selfie"; see Oracle.
bool IsOracleKind(const std::string& kind);

// What an oracle's part of decoder.json says.
struct OracleSpec {
  InjectionSite site;
  std::string placeholder = " ?";
  // With "{holder}" for whose feeling it is; empty: FeelsQuestion.
  std::string question;
  // Scores less those of the same question without an activation, which some words win by habit.
  bool minus_prior = false;
  // The naming reading's share in which feeling is named; see CombinedScores.
  double reading_share = 0.0;
  int64_t tails = 8;  // see WordScorerOptions
  int64_t max_answer_tokens = 40;
};

struct OracleWeights {
  OracleInput input;
  NamingReading naming;
  Adapter adapter;  // without blocks: none
};

// decoder.json's part, every field checked. Throws Error naming `where` and the field.
OracleSpec ParseOracleSpec(const DecoderFile& file, const std::string& where);

// The tensors of a folder with such a decoder.json, on the model's devices. Throws Error, naming
// the file, if they do not fit it or the model.
OracleWeights LoadOracleWeights(const DecoderFile& file, const OracleSpec& spec,
                                const std::filesystem::path& folder, const LanguageModel& model);

// Writes everything but decoder.json, whose part for this kind it returns.
nlohmann::ordered_json SaveOracle(const std::filesystem::path& folder, const DecoderInfo& info,
                                  const LanguageModel& model, const OracleSpec& spec,
                                  const OracleWeights& weights, double dropout);

}  // namespace extrospect
