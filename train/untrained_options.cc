#include "train/untrained_options.h"

namespace extrospect {
namespace {

constexpr double kMax = 1e9;

ConfigOption Dtype() {
  return {.name = "dtype",
          .value = "bf16",
          .help = "of the language model",
          .choices = {"bf16", "f32"}};
}

}  // namespace

std::vector<ConfigOption> SelfieOptions() {
  return {
      {.name = "prompt.placeholder",
       .value = " ?",
       .help = "the text at which activations enter; a single token of the model"},
      {.name = "prompt.questions",
       .value = {"",
                 "The text above stands for a state of mind. In one word, how does the "
                 "{holder} feel?",
                 "What is the emotion in the text above?"},
       .help = "questions to try on dev, with {holder}; empty: What does the {holder} feel?"},
      {.name = "injection.rules",
       .value = {"replace", "add"},
       .help = "add: norm-matched, to what is there; replace: norm-matched; verbatim: as it is"},
      {.name = "injection.blocks",
       .value = {-1, 1, 2},
       .help = "blocks after which activations enter, to try; -1: at the embeddings",
       .min = -1,
       .max = 65536},
      {.name = "injection.coefficients",
       .value = {1.0, 3.0},
       .help = "factors of what is injected to try, after the norms have been matched",
       .min = -kMax,
       .max = kMax},
      {.name = "choice_rows",
       .value = 64,
       .help = "dev rows on which the prompt is chosen; calibration takes all",
       .min = 1,
       .max = kMax},
      Dtype(),
      {.name = "tails",
       .value = 8,
       .help = "likeliest first tokens whose words are scored to their ends in reading; -1: all",
       .min = -1,
       .max = kMax},
      {.name = "max_answer_tokens", .value = 40, .help = "longest answer", .min = 1, .max = 4096},
  };
}

std::vector<ConfigOption> LogitLensOptions() { return {Dtype()}; }

}  // namespace extrospect
