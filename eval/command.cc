#include "eval/command.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/version.h"
#include "eval/injected_plan.h"
#include "eval/report/report.h"
#include "eval/run.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;

struct EvalFlags {
  std::string config, output, model, activations, transcripts, dtype, device;
  std::vector<std::string> set, decoders;
  int64_t threads = 0, seed = 0, limit = -1, batch_tokens = 0;
  bool quiet = false, dump_config = false;
};

// The command that repeats this run, as a shell would take it.
std::string CommandLine(const EvalFlags& flags, const ordered_json& given) {
  std::string line = "extrospect eval";
  const auto add = [&](const std::string& flag, const std::string& value) {
    const bool plain = value.find_first_of(" \t'\"\\$&|;<>()[]{}*?!#~`") == value.npos;
    std::string quoted = value;
    if (!plain || value.empty()) {
      quoted = "'";
      for (const char c : value) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
      quoted += "'";
    }
    line += " --" + flag + " " + quoted;
  };
  if (!flags.config.empty()) add("config", flags.config);
  for (const auto& [key, value] : given.items()) {
    if (key == "decoders") {
      for (const auto& folder : value) add("decoder", folder.get<std::string>());
    } else {
      std::string name = key;
      std::replace(name.begin(), name.end(), '_', '-');
      add(name, value.is_string() ? value.get<std::string>() : value.dump());
    }
  }
  for (const std::string& assignment : flags.set) add("set", assignment);
  add("output", flags.output);
  return line;
}

// The file's transcripts with the labels of another file.
std::vector<Transcript> Relabelled(const ActivationTable& table, const std::string& path) {
  std::unordered_map<std::string, Transcript> labels;
  for (Transcript& transcript : ReadTranscripts(path)) {
    std::string id = transcript.id;
    labels.emplace(std::move(id), std::move(transcript));
  }
  std::vector<Transcript> result;
  int64_t found = 0;
  for (const Transcript& transcript : table.transcripts()) {
    const auto label = labels.find(transcript.id);
    if (label != labels.end()) {
      result.push_back(label->second);
      ++found;
    } else {
      result.push_back(transcript);
      static_cast<Labels&>(result.back()) = Labels();  // not to be judged
    }
  }
  if (found == 0) {
    throw Error("none of the labelled transcripts is in the activation file")
        .At(path)
        .Expected("the ids of " + table.reader().path().string());
  }
  return result;
}

// What is judged, with splits as training has them. Tells `progress` where they were made up.
std::vector<Transcript> Labelled(const ActivationTable& table, const std::string& path,
                                 std::FILE* progress) {
  std::vector<Transcript> transcripts =
      path.empty() ? table.transcripts() : Relabelled(table, path);
  std::vector<SplitEntry> entries;
  for (Transcript& transcript : transcripts) {
    if (transcript.emotions.empty()) {
      transcript.split.clear();
    } else {
      entries.push_back({transcript.id, &transcript});
    }
  }
  const std::string note =
      AssignSplits(entries, path.empty() ? table.reader().path().string() : path);
  if (!entries.empty() && !note.empty() && progress != nullptr) {
    std::fprintf(progress, "%s\n", note.c_str());
  }
  return transcripts;
}

ordered_json FileEntry(const std::string& what, const std::string& path,
                       const std::string& sha256) {
  return {{"what", what},
          {"name", std::filesystem::path(path).filename().string()},
          {"sha256", sha256}};
}

// Sets each decoder's threshold of detection on the neutral dev transcripts.
void CalibrateOnDev(const ActivationTable& table, const std::vector<Transcript>& transcripts,
                    std::vector<DecoderChannel>& decoders) {
  for (DecoderChannel& channel : decoders) {
    const DecoderInfo& info = channel.decoder->info();
    const ActivationTable::Rows rows = table.Read(info.hooks, info.selection, info.token_pool);
    std::vector<at::Tensor> neutral;
    std::vector<std::string> holders;
    for (size_t i = 0; i < transcripts.size(); ++i) {
      if (transcripts[i].split != "dev" || transcripts[i].emotion != kNothing || !rows.has[i]) {
        continue;
      }
      neutral.push_back(rows.values[static_cast<int64_t>(i)]);
      holders.push_back(transcripts[i].holder);
    }
    if (!neutral.empty()) CalibrateDetection(channel, at::stack(neutral), holders);
  }
}

void PrintSummary(const ordered_json& report, const std::string& output) {
  std::printf("%s\n", report["verdict"]["sentence"].get<std::string>().c_str());
  for (const auto& problem : report["verdict"]["problems"]) {
    std::printf("cannot be interpreted: %s\n", problem.get<std::string>().c_str());
  }
  std::printf("%s\n", (std::filesystem::path(output) / "report.html").string().c_str());
}

void Evaluate(const EvalFlags& flags, const ordered_json& given) {
  const auto start = std::chrono::steady_clock::now();
  Config config = MakeEvalConfig();
  if (!flags.config.empty()) config.MergeFile(flags.config);
  config.Merge(given, "the command line");
  for (const std::string& assignment : flags.set) config.Set(assignment);
  if (flags.dump_config) {
    std::printf("%s\n", config.Dump().c_str());
    return;
  }
  if (flags.output.empty()) throw UsageError("an evaluation needs --output");
  const EvalOptions options = ReadEvalOptions(config);
  MakeFolder(flags.output);
  if (options.threads > 0) at::set_num_threads(static_cast<int>(options.threads));

  const c10::InferenceMode inference;
  const ActivationTable table(options.activations);
  std::FILE* const progress = flags.quiet ? nullptr : stderr;
  const std::vector<Transcript> transcripts = Labelled(table, options.transcripts, progress);
  const std::vector<at::Device> devices = ParseDevices(options.device);
  const auto shared_model = std::make_shared<const LanguageModel>(LoadModel(
      options.model,
      WeightOptions{.dtype = ParseDtype(options.dtype), .devices = devices, .trainable = false}));
  const LanguageModel& model = *shared_model;
  if (model.sha256 != table.reader().origin().model_sha256) {
    throw Error("the activations were not taken from this model")
        .At(options.activations)
        .Expected(model.name + ", SHA-256 " + model.sha256)
        .Found(table.reader().origin().model_name + ", SHA-256 " +
               table.reader().origin().model_sha256);
  }
  std::vector<DecoderChannel> decoders =
      OpenDecoders(options.decoders, table.reader().origin(), table.reader().hooks(),
                   options.activations, devices.front(), shared_model);
  const Lexicon lexicon =
      decoders.empty() ? Lexicon::BuiltIn() : decoders.front().decoder->info().lexicon;
  CalibrateOnDev(table, transcripts, decoders);
  const EvalSetup setup{model, table, transcripts, lexicon, decoders, options, progress};

  // Planned now: what cannot be injected is to be known before hours are spent on the rest.
  std::optional<InjectedPlan> plan;
  if (options.injected.enabled) plan = PlanInjected(setup);

  TrialWriter writer(flags.output);
  const RecordSink sink = [&](const TrialRecord& record) { writer.Add(record); };
  const TextReader reader(model, lexicon, options.tails, options.batch_tokens);
  const TextReaderChoice choice = ChooseTextReader(setup, reader);
  if (options.natural.enabled) RunNatural(setup, reader, choice, sink);
  ordered_json design;
  if (plan) design = RunInjected(setup, *plan, reader, choice, sink);
  writer.Finish();

  SummaryOptions summary;
  for (const DecoderChannel& channel : decoders) summary.decoders.push_back(channel.name);
  summary.text_channel = choice.channel;
  summary.self_channels = {"self-report", "self-report-shift"};
  summary.bootstrap = options.bootstrap;
  summary.shuffles = options.shuffles;
  summary.seed = options.seed;

  ordered_json about;
  about["created_by"] = kProgramVersion;
  about["command"] = CommandLine(flags, given);
  about["config"] = config.Resolved();
  about["model"] = {{"name", model.name},
                    {"architecture", model.architecture.family},
                    {"n_layers", model.architecture.n_layers},
                    {"d_model", model.architecture.d_model},
                    {"sha256", model.sha256},
                    {"tokenizer_sha256", model.tokenizer->Sha256()},
                    {"chat_template_sha256", model.chat_template_sha256}};
  auto& list = about["decoders"] = ordered_json::array();
  for (const DecoderChannel& channel : decoders) {
    const DecoderInfo& info = channel.decoder->info();
    list.push_back({{"channel", channel.name},
                    {"kind", info.kind},
                    {"hooks", info.hooks},
                    {"selection", info.selection},
                    {"pool", info.pool},
                    {"abstain_below", info.abstain_below},
                    {"detect_above", channel.detect_above},
                    {"sha256", info.sha256}});
  }
  auto& files = about["files"] = ordered_json::array();
  files.push_back(FileEntry("model", options.model, model.sha256));
  files.push_back(
      FileEntry("activations", options.activations, Sha256HexOfFile(options.activations)));
  if (!options.transcripts.empty()) {
    files.push_back(
        FileEntry("transcripts", options.transcripts, Sha256HexOfFile(options.transcripts)));
  }
  if (!flags.config.empty()) {
    files.push_back(FileEntry("configuration", flags.config, Sha256HexOfFile(flags.config)));
  }
  for (size_t i = 0; i < decoders.size(); ++i) {
    files.push_back(FileEntry("decoder " + decoders[i].name, options.decoders[i] + "/decoder.json",
                              decoders[i].decoder->info().sha256));
  }
  about["lexicon"] = {{"words", lexicon.size() - 1}, {"sha256", lexicon.Sha256()}};
  about["text_reader"] = choice.report;
  about["design"] = design;

  TranscriptTexts texts;
  for (const Transcript& transcript : transcripts) {
    texts.emplace(transcript.id, PlainText(transcript));
  }
  const ordered_json report = WriteReport(flags.output, std::move(about), summary, texts);
  PrintSummary(report, flags.output);
  if (progress != nullptr) {
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    std::fprintf(progress, "eval: %lld lines of trials in %.0f s\n",
                 static_cast<long long>(writer.count()), seconds.count());
  }
}

}  // namespace

void AddEvalCommand(CLI::App& app) {
  auto flags = std::make_shared<EvalFlags>();
  CLI::App* const command = app.add_subcommand(
      "eval", "Judge decoders against self-report and text-only readers; write a report");
  command->add_option("--config", flags->config, "Configuration (JSON, comments allowed)");
  command->add_option("--set", flags->set, "Change one value of it: key=value")->take_all();
  command->add_option("--output", flags->output, "The report's folder");
  // These stand for configuration values of the same name.
  auto given =
      std::make_shared<std::vector<std::pair<CLI::Option*, std::function<void(ordered_json&)>>>>();
  const auto add = [&](const std::string& flag, const std::string& key, auto& value,
                       const std::string& help) {
    CLI::Option* const option = command->add_option(flag, value, help);
    given->emplace_back(option, [key, &value](ordered_json& object) { object[key] = value; });
    return option;
  };
  add("--model", "model", flags->model, "A .gguf file or a Hugging Face folder");
  add("--activations", "activations", flags->activations, "Activation file with labels");
  add("--transcripts", "transcripts", flags->transcripts,
      "Read labels from this transcripts.jsonl instead of the activation file");
  add("--decoder", "decoders", flags->decoders, "A decoder's folder; may be repeated");
  add("--dtype", "dtype", flags->dtype, "Compute in f32 or bf16");
  add("--device", "device", flags->device, "cpu, cuda:N, or several separated by commas");
  add("--threads", "threads", flags->threads, "CPU threads (0: all)");
  add("--batch-tokens", "batch_tokens", flags->batch_tokens, "Tokens in one forward pass");
  add("--seed", "seed", flags->seed, "Seed of every random choice");
  add("--limit", "limit", flags->limit, "Only this many transcripts of every split");
  command->add_flag("--quiet", flags->quiet, "No progress on stderr");
  command->add_flag("--dump-config", flags->dump_config,
                    "Print the resolved configuration with help, and end");
  command->callback([flags, given] {
    ordered_json object = ordered_json::object();
    for (const auto& [option, put] : *given) {
      if (option->count() > 0) put(object);
    }
    Evaluate(*flags, object);
  });
}

}  // namespace extrospect
