// What an evaluation run does: the configuration with its defaults in one place.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/config.h"

namespace extrospect {

// Every option of `extrospect eval`, with default and help.
Config MakeEvalConfig();

struct EvalOptions {
  std::string model, activations, transcripts;
  std::vector<std::string> decoders;  // folders
  std::string dtype, device;
  int64_t batch_tokens = 4096, limit = -1, threads = 0;
  uint64_t seed = 0;

  struct Natural {
    bool enabled = true;
    int64_t text_reader = 0;  // transcripts that the text-only reader reads; −1: all
    int64_t dev = 0;          // dev transcripts that choose how it is scored
    int64_t sentences = 0;    // readings for which decoders also write their sentence
  } natural;

  struct Injected {
    bool enabled = true;
    std::string block;      // "auto", a number, or a depth percentage
    std::string selection;  // of the rows that emotion vectors are made of
    double project_out = 0.0;
    double span = 0.6;
    std::vector<double> doses, raw_doses;
    std::vector<std::string> concepts;  // {"all"} or words
    int64_t max_concepts = 0;           // 0: no limit
    int64_t trials = 1;                 // per concept and dose
    int64_t random = 0;                 // trials per dose with a random direction
    int64_t sentences = 0;
  } injected;

  struct SelfReport {
    bool enabled = true;
    std::string question, answer;
    int64_t free_text = 0;        // trials that are also answered freely
    int64_t yes_no_concepts = 0;  // concepts of the YES/NO protocol
  } self_report;

  int64_t tails = 8;  // see WordScorer
  int64_t bootstrap = 10000, shuffles = 100;
};

// Reads the resolved configuration. Throws UsageError on combinations that make no sense.
EvalOptions ReadEvalOptions(const Config& config);

}  // namespace extrospect
