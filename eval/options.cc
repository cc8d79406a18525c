#include "eval/options.h"

#include "base/error.h"
#include "extract/model_flags.h"

namespace extrospect {

Config MakeEvalConfig() {
  return Config(
      "eval",
      {
          {"model", "", "A .gguf file or a Hugging Face folder"},
          {"activations", "", "Activation file of the labelled transcripts"},
          {.name = "transcripts",
           .value = "",
           .help = "Read labels from this transcripts.jsonl instead of the file's own",
           .or_null = true},
          {"decoders", nlohmann::ordered_json::array(), "Decoder folders; each becomes a channel"},
          {.name = "dtype",
           .value = "bf16",
           .help = "Compute in f32 or bf16",
           .choices = {"f32", "bf16"}},
          {"device", "cpu", "cpu, cuda:N, or several separated by commas"},
          {"threads", 0, "CPU threads; 0: all", 0},
          {"batch_tokens", 4096, "Tokens in one forward pass", 1, kMaxBatchTokens},
          {"limit", -1, "Only this many transcripts of every split; -1: all", -1},
          {"seed", 0, "Seed of every random choice", 0},
          {"natural.enabled", true, "Judge readings of the labelled transcripts"},
          {"natural.text_reader", 300,
           "Transcripts that the text-only reader reads, drawn from all splits that are judged; it "
           "costs a forward pass over each; -1: all",
           -1},
          {"natural.dev", 60, "Dev transcripts that choose and calibrate the text-only reader", 0},
          {"natural.sentences", 90, "Transcripts for which decoders also write their sentence", 0},
          {"injected.enabled", true, "Judge readings of injected emotion vectors"},
          {"injected.block", "auto",
           "Vectors are added after this block: a number, a depth percentage, or auto (40 % of the "
           "depth, or three blocks below the first that a decoder reads, whichever is lower; of "
           "the blocks in the activation file the nearest to that)"},
          {"injected.selection", "content",
           "Rows of the activation file whose means make the emotion vectors"},
          {"injected.project_out", 0.0,
           "Remove the principal components of neutral rows that explain this share of variance", 0,
           0.99},
          {"injected.span", 0.6,
           "Vectors are added to this share of the content tokens, from the "
           "first on; readings are taken behind it",
           0.01, 0.99},
          {"injected.doses", nlohmann::ordered_json::array({0.0, 0.05, 0.1, 0.2, 0.4, 0.8}),
           "Norm of what is added, in mean residual norms of ordinary text; 0 belongs among them",
           0, 1000},
          {"injected.raw_doses", nlohmann::ordered_json::array(),
           "Further doses, as multipliers on the raw emotion vectors", 1e-6, 1e6},
          {.name = "injected.concepts",
           .value = "all",
           .help = "Emotions to inject: all, or a list of words",
           .or_list = true},
          {"injected.max_concepts", 0, "At most this many of them, evenly spread; 0: no limit", 0},
          {"injected.trials", 1, "Trials for every concept and dose, each in another transcript",
           1},
          {"injected.random", 40, "Trials for every dose with a random direction", 0},
          {"injected.sentences", 60, "Trials for which decoders also write their sentence", 0},
          {"self_report.enabled", true, "Ask the model itself on injected trials"},
          {"self_report.question", "How do you feel right now? Answer with one word.",
           "What it is asked"},
          {"self_report.answer", "I feel", "How its answer begins; the words follow"},
          {"self_report.free_text", 60, "Trials that it also answers freely", 0},
          {"self_report.yes_no_concepts", 24,
           "Concepts of the YES/NO protocol, whose fourteen questions cost more than all else", 0},
          {"tails", 8,
           "Words of several tokens: the most probable first tokens whose continuations are scored "
           "in every context; the others' are scored once, in an empty one; -1: all in all",
           -1},
          {"bootstrap", 10000, "Resamples of paired differences", 1, 1e6},
          {"shuffles", 100, "Permutations under mutual information", 1, 1e5},
      });
}

EvalOptions ReadEvalOptions(const Config& config) {
  EvalOptions options;
  options.model = config.Text("model");
  options.activations = config.Text("activations");
  options.transcripts = config.IsNull("transcripts") ? "" : config.Text("transcripts");
  options.decoders = config.TextList("decoders");
  options.dtype = config.Text("dtype");
  options.device = config.Text("device");
  options.threads = config.Integer("threads");
  options.batch_tokens = config.Integer("batch_tokens");
  options.limit = config.Integer("limit");
  options.seed = static_cast<uint64_t>(config.Integer("seed"));
  options.natural.enabled = config.Flag("natural.enabled");
  options.natural.text_reader = config.Integer("natural.text_reader");
  options.natural.dev = config.Integer("natural.dev");
  options.natural.sentences = config.Integer("natural.sentences");
  auto& injected = options.injected;
  injected.enabled = config.Flag("injected.enabled");
  injected.block = config.Text("injected.block");
  injected.selection = config.Text("injected.selection");
  injected.project_out = config.Number("injected.project_out");
  injected.span = config.Number("injected.span");
  injected.doses = config.NumberList("injected.doses");
  injected.raw_doses = config.NumberList("injected.raw_doses");
  injected.concepts = config.TextList("injected.concepts");
  injected.max_concepts = config.Integer("injected.max_concepts");
  injected.trials = config.Integer("injected.trials");
  injected.random = config.Integer("injected.random");
  injected.sentences = config.Integer("injected.sentences");
  options.self_report.enabled = config.Flag("self_report.enabled");
  options.self_report.question = config.Text("self_report.question");
  options.self_report.answer = config.Text("self_report.answer");
  options.self_report.free_text = config.Integer("self_report.free_text");
  options.self_report.yes_no_concepts = config.Integer("self_report.yes_no_concepts");
  options.tails = config.Integer("tails");
  options.bootstrap = config.Integer("bootstrap");
  options.shuffles = config.Integer("shuffles");
  const auto require = [](const std::string& value, const char* flag) {
    if (!value.empty()) return;
    throw UsageError(std::string("an evaluation needs ") + flag)
        .Hint(std::string("give ") + flag + ", or set it in the configuration");
  };
  require(options.model, "--model");
  require(options.activations, "--activations");
  if (!options.natural.enabled && !injected.enabled) {
    throw UsageError("there is nothing to evaluate")
        .At("natural.enabled and injected.enabled")
        .Expected("at least one of them to be true");
  }
  return options;
}

}  // namespace extrospect
