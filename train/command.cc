#include "train/command.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/model.h"
#include "train/options.h"
#include "train/run.h"

namespace extrospect {
namespace {

struct TrainFlags {
  std::string kind, activations, output, targets, model, config, device = "cpu";
  std::vector<std::string> set;
  int threads = 0;
  int64_t limit = -1;
  uint64_t seed = 0;
  bool resume = false, dump_config = false, quiet = false;
  // Flags that were given beat the configuration.
  CLI::Option *seed_option = nullptr, *limit_option = nullptr;
};

double Percent(const nlohmann::ordered_json& figure, const char* name) {
  return 100 * figure.value(name, 0.0);
}

void PrintFigures(const nlohmann::ordered_json& figures) {
  std::printf("%-8s %6s %7s %7s %7s %8s %8s %7s %7s %7s %7s\n", "split", "rows", "top-1", "near",
              "top-5", "macro-F1", "chance-1", "chance5", "nats", "ece", "hit/fa");
  for (const auto& [split, figure] : figures.items()) {
    std::printf("%-8s %6lld %6.1f%% %6.1f%% %6.1f%% %8.3f %7.1f%% %6.1f%% %7.3f %7.3f %3.0f/%.0f\n",
                split.c_str(), static_cast<long long>(figure.value("n", int64_t{0})),
                Percent(figure, "top1"), Percent(figure, "near"), Percent(figure, "top5"),
                figure.value("macro_f1", 0.0), Percent(figure, "chance_top1"),
                Percent(figure, "chance_top5"), figure.value("cross_entropy", 0.0),
                figure.value("ece", 0.0), Percent(figure, "hits"), Percent(figure, "false_alarms"));
  }
}

void RunTrain(const TrainFlags& flags, const Ranks& ranks) {
  Config config = TrainingConfig(flags.kind);
  if (!flags.config.empty()) config.MergeFile(flags.config);
  for (const std::string& assignment : flags.set) config.Set(assignment);
  if (flags.seed_option->count() > 0) config.Set("seed=" + std::to_string(flags.seed));
  if (flags.limit_option->count() > 0) config.Set("limit=" + std::to_string(flags.limit));
  if (flags.dump_config) {
    if (ranks.first()) std::fputs(config.Dump().c_str(), stdout);
    return;
  }
  if (flags.activations.empty() || flags.output.empty()) {
    throw UsageError("train needs --activations and --output");
  }
  if (flags.threads > 0) at::set_num_threads(flags.threads);
  const TrainingRun run = {.kind = flags.kind,
                           .activations = flags.activations,
                           .targets = flags.targets,
                           .output = flags.output,
                           .model = flags.model,
                           .config = std::move(config),
                           .device = ParseDevices(flags.device).front(),
                           .devices = ParseDevices(flags.device),
                           .resume = flags.resume,
                           .progress = flags.quiet || !ranks.first() ? nullptr : stderr,
                           .ranks = ranks};
  const nlohmann::ordered_json figures = Train(run);
  if (ranks.first()) PrintFigures(figures);
}

}  // namespace

void AddTrainCommand(CLI::App& app, const Ranks& ranks) {
  auto flags = std::make_shared<TrainFlags>();
  CLI::App* const command =
      app.add_subcommand("train", "Train a decoder on an activation file and its labels");
  command->add_option("--kind", flags->kind, "What to train")
      ->required()
      ->check(CLI::IsMember(TrainableKinds()));
  command->add_option("--activations", flags->activations, "The activation file (HDF5)");
  command->add_option("--output", flags->output, "The decoder's folder");
  command->add_option("--targets", flags->targets,
                      "Labels by id, JSON lines (default: those that the transcripts carry)");
  command->add_option("--model", flags->model, "The language model, for kinds that run it");
  command->add_option("--config", flags->config, "Configuration (JSON, comments allowed)");
  command->add_option("--set", flags->set, "KEY=VALUE over the configuration; repeatable")
      ->take_all();
  command->add_flag("--resume", flags->resume, "Continue from the checkpoint, if there is one");
  command->add_flag("--dump-config", flags->dump_config, "Print the resolved configuration");
  command
      ->add_option("--device", flags->device,
                   "cpu, cuda:N, or several separated by commas, for the language model")
      ->capture_default_str();
  command->add_option("--threads", flags->threads, "CPU threads (0: all)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  flags->limit_option =
      command->add_option("--limit", flags->limit, "Only the first N transcripts");
  flags->seed_option = command->add_option("--seed", flags->seed, "Seed of random choices");
  command->add_flag("--quiet", flags->quiet, "No progress on stderr");
  command->callback([flags, ranks] { RunTrain(*flags, ranks); });
}

}  // namespace extrospect
