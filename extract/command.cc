#include "extract/command.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/progress.h"
#include "extract/extract.h"
#include "extract/file_sink.h"
#include "extract/model_flags.h"
#include "extract/to_file.h"
#include "model/hooks.h"

namespace extrospect {
namespace {

struct ExtractFlags {
  std::string model, transcripts, output;
  std::string layers = "50%", tokens = "last", pool = "none", store = "bf16";
  RenderFlags render;
  ComputeFlags compute;
  int64_t batch_tokens = 4096, limit = -1;
  uint64_t seed = 0;
  bool resume = false, quiet = false;
};

StoreType ParseStore(const std::string& text) {
  if (text == "f32") return StoreType::kFloat32;
  return text == "f16" ? StoreType::kFloat16 : StoreType::kBFloat16;
}

// Everything that decides the bytes of the data.
std::string ConfigOf(const ExtractFlags& flags, const std::vector<int64_t>& blocks,
                     const std::vector<Selection>& selections) {
  nlohmann::ordered_json config;
  config["command"] = "extract";
  config["layers"] = blocks;
  config["tokens"] = nlohmann::ordered_json::array();
  for (const Selection& selection : selections) config["tokens"].push_back(selection.name());
  config["pool"] = flags.pool;
  config["format"] = FormatName(flags.render.prepare("chat").format);
  config["truncate"] = flags.render.truncate;
  config["dtype"] = flags.compute.dtype;
  config["store"] = flags.store;
  config["batch_tokens"] = flags.batch_tokens;
  config["limit"] = flags.limit;
  config["seed"] = flags.seed;
  return config.dump();
}

void Extract(const ExtractFlags& flags, const Ranks& ranks) {
  flags.compute.SetThreads();
  const std::vector<Transcript> transcripts = ReadTranscripts(flags.transcripts, flags.limit);
  CheckOutput(flags.output, {flags.transcripts, flags.model});
  const LanguageModel model = LoadModel(flags.model, flags.compute.weights());
  ExtractOptions options;
  options.blocks = ParseLayers(flags.layers, model.architecture.n_layers);
  options.selections = Selection::ParseList(flags.tokens);
  options.pool_mean = flags.pool == "mean";
  options.prepare = flags.render.prepare("chat");
  options.batch_tokens = flags.batch_tokens;
  ExtractPlan plan = PlanExtraction(model, transcripts, options);

  const ActivationOrigin origin =
      OriginOf(model, flags.compute.dtype, ConfigOf(flags, options.blocks, options.selections));
  std::vector<std::string> hooks;
  for (const int64_t block : options.blocks) hooks.push_back(HookName(block));

  const StoreType store = ParseStore(flags.store);
  if (options.selections.size() > 1) plan.layout.selection = plan.selection;
  const ExtractTarget target = {.path = flags.output,
                                .origin = origin,
                                .hooks = hooks,
                                .store = store,
                                .resume = flags.resume,
                                .progress = flags.quiet || !ranks.first() ? nullptr : stderr};
  const ExtractTime time = ranks.several() ? ExtractOverRanks(model, plan, options, target, ranks)
                                           : ExtractToFile(model, plan, options, target);
  if (!ranks.first()) return;
  const ActivationLayout& layout = plan.layout;
  int64_t tokens = 0;
  for (const auto& transcript : layout.transcripts) tokens += transcript.n_tokens;
  const std::string speed =
      time.seconds == 0 ? "already complete"
                        : ClockTime(time.seconds) + " min, " + ShortNumber(time.rate) + " tokens/s";
  std::printf("%s: %zu transcripts, %lld tokens, %llu rows x %zu hooks x %lld (%s)\n",
              flags.output.c_str(), layout.transcripts.size(), static_cast<long long>(tokens),
              static_cast<unsigned long long>(layout.n_rows()), hooks.size(),
              static_cast<long long>(origin.d_model), speed.c_str());
}

}  // namespace

void AddExtractCommand(CLI::App& app, const Ranks& ranks) {
  auto flags = std::make_shared<ExtractFlags>();
  CLI::App* const command =
      app.add_subcommand("extract", "Run transcripts through a model and keep its activations");
  command->add_option("--model", flags->model, "A .gguf file or a Hugging Face folder")->required();
  command->add_option("--transcripts", flags->transcripts, "transcripts.jsonl")->required();
  command->add_option("--output", flags->output, "The activation file (HDF5) to write")->required();
  command
      ->add_option("--layers", flags->layers, "Blocks to read, from 0: 14, 3,7,11, 4-9, 50%, all")
      ->capture_default_str();
  command
      ->add_option("--tokens", flags->tokens,
                   "Tokens to read: last, last:K, all, content, role:ROLE, message:I; with "
                   "--pool mean also several, separated by commas")
      ->capture_default_str();
  command->add_option("--pool", flags->pool, "A row for each token, or the mean of the selection")
      ->check(CLI::IsMember({"none", "mean"}))
      ->capture_default_str();
  AddRenderFlags(*command, flags->render, "chat");
  AddComputeFlags(*command, flags->compute);
  command->add_option("--store", flags->store, "Number type in the file")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}))
      ->capture_default_str();
  AddBatchTokensFlag(*command, flags->batch_tokens);
  command->add_option("--limit", flags->limit, "Only the first N transcripts");
  command->add_option("--seed", flags->seed, "Seed of random choices")->capture_default_str();
  command->add_flag("--resume", flags->resume, "Continue an interrupted run");
  command->add_flag("--quiet", flags->quiet, "No progress on stderr");
  command->callback([flags, ranks] { Extract(*flags, ranks); });
}

}  // namespace extrospect
