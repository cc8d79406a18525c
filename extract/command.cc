#include "extract/command.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/progress.h"
#include "base/version.h"
#include "extract/extract.h"
#include "model/hooks.h"

namespace extrospect {
namespace {

struct ExtractFlags {
  std::string model, transcripts, output;
  std::string layers = "50%", tokens = "last", pool = "none", format = "chat", truncate = "none";
  std::string dtype = "bf16", store = "bf16", device = "cpu";
  int threads = 0;
  int64_t batch_tokens = 4096, limit = -1;
  uint64_t seed = 0;
  bool resume = false, quiet = false;
};

StoreType ParseStore(const std::string& text) {
  if (text == "f32") return StoreType::kFloat32;
  return text == "f16" ? StoreType::kFloat16 : StoreType::kBFloat16;
}

// Writes rows to the file in the stored type.
class FileSink : public RowSink {
 public:
  FileSink(ActivationWriter& writer, StoreType store) : writer_(writer), store_(store) {}

  void Write(size_t hook, uint64_t first_row, const at::Tensor& rows) override {
    at::Tensor stored = rows;
    if (store_ == StoreType::kBFloat16) stored = rows.to(at::kBFloat16);
    if (store_ == StoreType::kFloat16) {
      stored = rows.to(at::kHalf);
      if (!at::isfinite(stored).all().item<bool>()) {
        throw Error("an activation is too large for float16")
            .Found(std::to_string(rows.abs().max().item<float>()))
            .Hint("use --store bf16 or --store f32");
      }
    }
    const auto size = static_cast<size_t>(stored.numel()) * stored.element_size();
    writer_.Write(hook, first_row,
                  {static_cast<const std::byte*>(stored.contiguous().const_data_ptr()), size});
  }
  void Done(const std::vector<uint32_t>& transcripts) override { writer_.MarkDone(transcripts); }

 private:
  ActivationWriter& writer_;
  StoreType store_;
};

// Everything that decides the bytes of the data.
std::string ConfigOf(const ExtractFlags& flags, const std::vector<int64_t>& blocks,
                     const std::vector<Selection>& selections) {
  nlohmann::ordered_json config;
  config["command"] = "extract";
  config["layers"] = blocks;
  config["tokens"] = nlohmann::ordered_json::array();
  for (const Selection& selection : selections) config["tokens"].push_back(selection.name());
  config["pool"] = flags.pool;
  config["format"] = flags.format;
  config["truncate"] = flags.truncate;
  config["dtype"] = flags.dtype;
  config["store"] = flags.store;
  config["batch_tokens"] = flags.batch_tokens;
  config["limit"] = flags.limit;
  config["seed"] = flags.seed;
  return config.dump();
}

void Extract(const ExtractFlags& flags) {
  if (flags.threads > 0) at::set_num_threads(flags.threads);
  const std::vector<Transcript> transcripts = ReadTranscripts(flags.transcripts, flags.limit);
  const LanguageModel model = LoadModel(
      flags.model, WeightOptions{.dtype = ParseDtype(flags.dtype),
                                 .devices = ParseDevices(flags.device),
                                 .trainable = false});
  ExtractOptions options;
  options.blocks = ParseLayers(flags.layers, model.architecture.n_layers);
  options.selections = Selection::ParseList(flags.tokens);
  options.pool_mean = flags.pool == "mean";
  options.prepare.format =
      flags.format == "raw" ? TranscriptFormat::kRaw : TranscriptFormat::kChat;
  options.prepare.truncate = flags.truncate == "left"    ? Truncate::kLeft
                             : flags.truncate == "right" ? Truncate::kRight
                                                         : Truncate::kNone;
  options.batch_tokens = flags.batch_tokens;
  const ExtractPlan plan = PlanExtraction(model, transcripts, options);

  ActivationOrigin origin;
  origin.model_name = model.name;
  origin.model_sha256 = model.sha256;
  origin.architecture = model.architecture.family;
  origin.n_layers = model.architecture.n_layers;
  origin.d_model = model.architecture.d_model;
  origin.tokenizer_sha256 = model.tokenizer->Sha256();
  origin.chat_template_sha256 = model.chat_template_sha256;
  origin.compute_dtype = flags.dtype;
  origin.layer_convention =
      "blocks.K.hook_resid_post is the residual stream after block K, counted from 0, before any "
      "final norm; blocks.0.hook_resid_pre is the embedding output";
  origin.config = ConfigOf(flags, options.blocks, options.selections);
  origin.created_by = kProgramVersion;
  std::vector<std::string> hooks;
  for (const int64_t block : options.blocks) hooks.push_back(HookName(block));

  const StoreType store = ParseStore(flags.store);
  ActivationLayout layout = plan.layout;
  if (options.selections.size() > 1) layout.selection = plan.selection;
  ActivationWriter writer(flags.output, origin, layout, hooks, store, flags.resume);
  int64_t tokens = 0;
  for (const auto& transcript : layout.transcripts) tokens += transcript.n_tokens;
  if (!writer.complete()) {
    FileSink sink(writer, store);
    Progress progress("extract", "tokens", tokens, flags.quiet ? nullptr : stderr);
    RunExtraction(model, plan, options, std::vector<uint8_t>(writer.done()), sink,
                  [&](int64_t n) { progress.Add(n); });
    writer.Finish();
  }
  std::printf("%s: %zu transcripts, %lld tokens, %llu rows x %zu hooks x %lld\n",
              flags.output.c_str(), layout.transcripts.size(), static_cast<long long>(tokens),
              static_cast<unsigned long long>(layout.n_rows()), hooks.size(),
              static_cast<long long>(origin.d_model));
}

}  // namespace

void AddExtractCommand(CLI::App& app) {
  auto flags = std::make_shared<ExtractFlags>();
  CLI::App* const command =
      app.add_subcommand("extract", "Run transcripts through a model and keep its activations");
  command->add_option("--model", flags->model, "A .gguf file or a Hugging Face folder")->required();
  command->add_option("--transcripts", flags->transcripts, "transcripts.jsonl")->required();
  command->add_option("--output", flags->output, "The activation file (HDF5) to write")->required();
  command->add_option("--layers", flags->layers,
                      "Blocks to read, from 0: 14, 3,7,11, 4-9, 50%, all")
      ->capture_default_str();
  command->add_option("--tokens", flags->tokens,
                      "Tokens to read: last, last:K, all, content, role:ROLE, message:I; with "
                      "--pool mean also several, separated by commas")
      ->capture_default_str();
  command->add_option("--pool", flags->pool, "A row for each token, or the mean of the selection")
      ->check(CLI::IsMember({"none", "mean"}))
      ->capture_default_str();
  command->add_option("--format", flags->format, "Render messages by the chat template, or plainly")
      ->check(CLI::IsMember({"chat", "raw"}))
      ->capture_default_str();
  command->add_option("--truncate", flags->truncate,
                      "Which end of a transcript beyond the model's context is cut off")
      ->check(CLI::IsMember({"none", "left", "right"}))
      ->capture_default_str();
  command->add_option("--dtype", flags->dtype, "Compute in float32 or bfloat16")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->capture_default_str();
  command->add_option("--store", flags->store, "Number type in the file")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}))
      ->capture_default_str();
  command->add_option("--device", flags->device, "cpu, cuda:N, or several separated by commas")
      ->capture_default_str();
  command->add_option("--threads", flags->threads, "CPU threads (0: all)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--batch-tokens", flags->batch_tokens, "Tokens in one forward pass")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--limit", flags->limit, "Only the first N transcripts");
  command->add_option("--seed", flags->seed, "Seed of random choices")->capture_default_str();
  command->add_flag("--resume", flags->resume, "Continue an interrupted run");
  command->add_flag("--quiet", flags->quiet, "No progress on stderr");
  command->callback([flags] { Extract(*flags); });
}

}  // namespace extrospect
