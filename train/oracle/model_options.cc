#include "train/oracle/model_options.h"

#include "train/common_options.h"

namespace extrospect {
namespace {

constexpr double kMax = kMaxOption;

constexpr char kRuleHelp[] =
    "add: norm-matched, to what is there; replace: norm-matched; scale: in its place, not matched";

ConfigOption Dtype() {
  return {.name = "dtype",
          .value = "bf16",
          .help = "of the language model; what is trained is always f32",
          .choices = {"bf16", "f32"}};
}

std::vector<ConfigOption> AnsweringOptions() {
  return {
      {.name = "tails",
       .value = 8,
       .help = "likeliest first tokens whose words are scored to their ends in reading; -1: all",
       .min = -1,
       .max = kMax},
      {.name = "max_answer_tokens", .value = 40, .help = "longest answer", .min = 1, .max = 4096},
  };
}

std::vector<ConfigOption> InjectionOptions(const std::string& kind) {
  return {
      {.name = "prompt.placeholder",
       .value = " ?",
       .help = "the text at which activations enter; a single token of the model"},
      {.name = "prompt.question",
       .value = "",
       .help = "what is asked in reading, with {holder}; empty: What does the {holder} feel?"},
      {.name = "injection.block",
       .value = kind == "affine" ? -1 : 1,
       .help = "activations enter after this block; -1: at the embeddings",
       .min = -1,
       .max = 65536},
      {.name = "injection.rule",
       .value = kind == "affine" ? "scale" : "add",
       .help = kRuleHelp,
       .choices = {"add", "replace", "scale"}},
      {.name = "injection.coefficient",
       .value = kind == "affine" ? 1.0 : 2.0,
       .help = "factor of what is injected, after the norms have been matched",
       .min = -kMax,
       .max = kMax},
      {.name = "eval_rows",
       .value = 128,
       .help = "dev rows of an evaluation in training; calibration takes all",
       .min = 1,
       .max = kMax},
  };
}

std::vector<ConfigOption> LoraOptions() {
  return {
      {.name = "lora.rank", .value = 16, .help = "rank of the updates", .min = 1, .max = 65536},
      {.name = "lora.alpha", .value = 32.0, .help = "scale times rank", .min = 1e-6, .max = kMax},
      {.name = "lora.dropout",
       .value = 0.0,
       .help = "dropout of the updates' inputs",
       .min = 0,
       .max = 0.9},
      {.name = "lora.targets",
       .value = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"},
       .help = "matrices that are adapted"},
      {.name = "lora.blocks",
       .value = "all",
       .help = "blocks that are adapted, as --layers names them"},
      {.name = "input.map",
       .value = true,
       .help = "train a square map of each hook's vector, from the identity"},
      {.name = "input.sharpness",
       .value = {1.0, 0.2},
       .help = "vectors of the words' own representations, weighed by a closed-form reading of all "
               "hooks: one for each factor of its scores (see docs/oracles.md); []: none",
       .min = 0.01,
       .max = 100},
      {.name = "input.emotion_sharpness",
       .value = {1.0},
       .help =
           "more such vectors, which leave \"nothing\" out: where that has nearly all the weight, "
           "they tell what else there is",
       .min = 0.01,
       .max = 100},
      {.name = "input.folds",
       .value = 8,
       .help = "parts that training rows are cut into; each is read by what was fitted on the "
               "others, as new rows will be",
       .min = 0,
       .max = 100},
      {.name = "input.reading_shares",
       .value = {0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9},
       .help =
           "shares of a linear reading, beside the answers, in which feeling is named; the best "
           "on dev is kept. [0]: only the answers count, as without input.sharpness",
       .min = 0,
       .max = 1},
      {.name = "input.rate",
       .value = 0.05,
       .help = "learning rate of the input's maps and words, as a share of the adapter's",
       .min = 0,
       .max = 10},
  };
}

std::vector<ConfigOption> MadeUpOptions() {
  return {
      {.name = "taught_steps",
       .value = 60,
       .help = "first steps in which, ever more rarely, the right answer is drawn from what the "
               "closed-form reading of input.sharpness holds likely",
       .min = 0,
       .max = kMax},
      {.name = "taught_share",
       .value = 0.15,
       .help = "share of such questions afterwards: what keeps words sayable that no label names",
       .min = 0,
       .max = 1},
      {.name = "resample.share",
       .value = 0.4,
       .help = "share of the questions about a class for which the row is made up: the class's "
               "mean and another row's deviation from its own",
       .min = 0,
       .max = 1},
      {.name = "resample.faint",
       .value = 0.0,
       .help =
           "share of the made-up rows that are anywhere between rows without feelings and their "
           "class's; there, answers do not compete with \"nothing\"",
       .min = 0,
       .max = 1},
      {.name = "resample.pull",
       .value = 20.0,
       .help = "pull of those class means to their neighbours, in examples",
       .min = 0,
       .max = kMax},
  };
}

std::vector<ConfigOption> ContextOptions() {
  return {
      {.name = "context.share",
       .value = 0.0,
       .help = "share of questions about the text before or after a token (context prediction)",
       .min = 0,
       .max = 1},
      {.name = "context.activations",
       .value = "",
       .help = "their activation file: extract --tokens all --pool none, any text"},
      {.name = "context.max_tokens",
       .value = 6,
       .help = "longest text asked for, in tokens",
       .min = 1,
       .max = 256},
  };
}

std::vector<ConfigOption> QuestionOptions(bool oracle) {
  return {
      {.name = "batch", .value = 32, .help = "questions in a step", .min = 1, .max = 65536},
      {.name = "micro_batch",
       .value = 0,
       .help = "questions in memory at a time; 0: the whole batch",
       .min = 0,
       .max = 65536},
      {.name = "noise",
       .value = 0.3,
       .help = "Gaussian noise on the rows, in standard deviations within a class",
       .min = 0,
       .max = 10},
      {.name = "questions.closed",
       .value = oracle ? 0.1 : 0.0,
       .help = "share of questions to be answered with yes or no",
       .min = 0,
       .max = 1},
      {.name = "questions.intensity",
       .value = oracle ? 0.05 : 0.0,
       .help = "share of questions for the intensity",
       .min = 0,
       .max = 1},
      {.name = "questions.holder",
       .value = oracle ? 0.05 : 0.0,
       .help = "share of questions for the holder",
       .min = 0,
       .max = 1},
      {.name = "questions.described",
       .value = oracle ? 0.15 : 0.0,
       .help = "share of open answers that are whole descriptions",
       .min = 0,
       .max = 1},
      {.name = "questions.unnamed",
       .value = 0.1,
       .help = "share of open questions that do not name the holder",
       .min = 0,
       .max = 1},
      {.name = "questions.reworded",
       .value = oracle ? 0.3 : 0.0,
       .help = "share of questions in other words than those that are used in reading",
       .min = 0,
       .max = 1},
  };
}

}  // namespace

std::vector<ConfigOption> OracleOptions(const std::string& kind) {
  const bool oracle = kind == "oracle";
  std::vector<std::vector<ConfigOption>> lists = {
      InjectionOptions(kind), {Dtype()}, AnsweringOptions()};
  if (oracle) {
    lists.insert(lists.end(), {LoraOptions(), MadeUpOptions(), ContextOptions()});
  }
  lists.push_back(LoopConfig({.steps = oracle ? 250 : 200,
                              .learning_rate = oracle ? 0.002 : 0.01,
                              .warmup = 20,
                              .checkpoint_every = 100}));
  lists.push_back(QuestionOptions(oracle));
  return Joined(lists);
}

std::vector<ConfigOption> SelfieOptions() {
  const std::vector<ConfigOption> tried = {
      {.name = "prompt.placeholder",
       .value = " ?",
       .help = "the text at which activations enter; a single token of the model"},
      {.name = "prompt.questions",
       .value = {"",
                 "The text above stands for a state of mind. In one word, how does the "
                 "{holder} feel?",
                 "What is the emotion in the text above?"},
       .help = "questions to try on dev, with {holder}; empty: What does the {holder} feel?"},
      {.name = "injection.rules", .value = {"replace", "add"}, .help = kRuleHelp},
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
  };
  return Joined({tried, {Dtype()}, AnsweringOptions()});
}

std::vector<ConfigOption> LogitLensOptions() { return {Dtype()}; }

}  // namespace extrospect
