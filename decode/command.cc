#include "decode/command.h"

#include <ATen/ATen.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "base/text.h"
#include "decode/activation_rows.h"
#include "decode/html_timeline.h"
#include "decode/load.h"
#include "decode/read_transcripts.h"
#include "decode/reader.h"
#include "decode/terminal.h"
#include "extract/model_flags.h"
#include "model/model.h"

namespace extrospect {
namespace {

struct DecodeFlags {
  std::string decoder, output, activations, model, transcripts, html, question;
  std::string per = "transcript";
  RenderFlags render;
  ComputeFlags compute;
  int64_t samples = 0, limit = -1, top = 10, window = 8, batch_tokens = 4096, show = 5;
  uint64_t seed = 0;
  bool quiet = false;
};

// The transcripts of an activation file, by index.
std::vector<Transcript> TranscriptsOf(const ActivationReader& reader) {
  std::vector<Transcript> transcripts;
  for (const auto& entry : reader.layout().transcripts) {
    transcripts.push_back(
        ParseTranscript(entry.json, reader.path().string() + ", transcript " + entry.id, entry.id));
  }
  return transcripts;
}

TimelineTranscript PlainTimeline(const Transcript& transcript, const Reading& reading) {
  TimelineTranscript shown;
  shown.id = reading.transcript;
  shown.meant = transcript.emotion;
  shown.reading = reading;
  if (transcript.is_raw()) {
    shown.messages.push_back({"text", {{transcript.text, {}}}});
  }
  for (const ChatMessage& message : transcript.messages) {
    shown.messages.push_back({message.role, {{message.content, {}}}});
  }
  return shown;
}

struct Decoded {
  std::vector<Reading> readings;
  std::vector<TimelineTranscript> timeline;
};

// What is asked at every row of the output.
ReadOptions ReadOptionsOf(const DecodeFlags& flags) {
  ReadOptions options;
  options.top = flags.top;
  options.sentences = flags.per == "transcript";  // a sentence a token would take long
  options.question = flags.question;
  options.samples = flags.samples;
  options.seed = flags.seed;
  return options;
}

Decoded FromActivations(const Decoder& decoder, const DecodeFlags& flags, std::FILE* stream) {
  const ActivationReader reader(flags.activations);
  const DecoderInfo& info = decoder.info();
  CheckFits(info, reader.origin(), reader.hooks(), flags.activations);
  CheckRendering(info, reader.origin(), flags.activations);
  const std::vector<Transcript> transcripts = TranscriptsOf(reader);
  const bool per_token = flags.per == "token";
  RowPlan plan = PlanRows(reader, info.selection, per_token ? "none" : info.token_pool.name());
  if (flags.limit >= 0) {
    std::erase_if(plan.rows, [&](const RowPlan::Row& row) {
      return static_cast<int64_t>(row.transcript) >= flags.limit;
    });
  }
  at::Tensor rows = LoadRows(reader, plan, info.hooks, info.token_pool);
  std::vector<uint32_t> owner;
  std::vector<RowOrigin> origins;
  for (const RowPlan::Row& row : plan.rows) {
    owner.push_back(row.transcript);
    origins.push_back({.transcript = transcripts[row.transcript].id,
                       .holder = transcripts[row.transcript].holder,
                       .position = row.position,
                       .first_position = row.first_position,
                       .token = ""});
  }
  if (per_token && info.pool != "none") {
    rows = info.token_pool.Running(rows, owner, flags.window);
  }
  Progress progress("decode", "rows", rows.size(0), stream);
  Decoded decoded;
  decoded.readings = ReadRows(decoder, rows.to(ParseDevices(flags.compute.device).front()), origins,
                              ReadOptionsOf(flags), [&](int64_t n) { progress.Add(n); });
  if (!flags.html.empty()) {
    for (size_t i = 0; i < decoded.readings.size(); ++i) {
      decoded.timeline.push_back(PlainTimeline(transcripts[owner[i]], decoded.readings[i]));
    }
  }
  return decoded;
}

Decoded FromTranscripts(const Decoder& decoder, const LanguageModel& model,
                        const DecodeFlags& flags, std::FILE* stream) {
  const std::vector<Transcript> transcripts = ReadTranscripts(flags.transcripts, flags.limit);
  ReadTranscriptsOptions options;
  (flags.per == "token" ? options.read_tokens : options.read) = ReadOptionsOf(flags);
  options.read.top = options.read_tokens.top = flags.top;
  options.read_tokens.sentences = false;
  // The readings of whole transcripts are written, or stand in the page, or nobody sees them.
  options.read.sentences = flags.per == "transcript" || !flags.html.empty();
  options.prepare = flags.render.prepare(decoder.info().rendering);
  options.batch_tokens = flags.batch_tokens;
  options.window = flags.window;
  options.per_token = flags.per == "token" || !flags.html.empty();
  int64_t tokens = 0;
  for (const Transcript& transcript : transcripts) {
    const PreparedTranscript prepared = Prepare(model, transcript, options.prepare);
    PositionsOf(decoder.info(), transcript, prepared);  // now, and not after hours
    tokens += static_cast<int64_t>(prepared.tokens.size());
  }
  Progress progress("decode", "tokens", tokens, stream);
  TranscriptReadings read = ReadTranscriptsWith(decoder, model, transcripts, options,
                                                [&](int64_t n) { progress.Add(n); });
  return {flags.per == "token" ? std::move(read.tokens) : std::move(read.whole),
          std::move(read.timeline)};
}

void RunDecode(const DecodeFlags& flags) {
  if (flags.activations.empty() == flags.transcripts.empty() ||
      (flags.activations.empty() && flags.model.empty())) {
    throw UsageError("decode reads either --activations, or --transcripts with --model");
  }
  if (!flags.html.empty() && flags.per == "token" && flags.transcripts.empty()) {
    throw UsageError("a page of single tokens shows their text, which activation files do not hold")
        .Found("--html and --per token with --activations")
        .Expected("--transcripts with --model, or --per transcript");
  }
  CheckOutput(flags.output, {flags.activations, flags.transcripts, flags.html});
  if (!flags.html.empty()) CheckOutput(flags.html, {flags.activations, flags.transcripts});
  flags.compute.SetThreads();
  std::shared_ptr<const LanguageModel> model;
  if (!flags.model.empty()) {
    model = std::make_shared<const LanguageModel>(LoadModel(flags.model, flags.compute.weights()));
  }
  const std::unique_ptr<Decoder> decoder =
      LoadDecoder(flags.decoder, ParseDevices(flags.compute.device).front(), model);
  const DecoderInfo& info = decoder->info();
  if ((!flags.question.empty() || flags.samples > 0) && !decoder->answers()) {
    throw UsageError("--question and --samples are for decoders that answer questions")
        .At(flags.decoder)
        .Found("a decoder of kind " + info.kind);
  }
  std::FILE* const stream = flags.quiet ? nullptr : stderr;
  const Decoded decoded = flags.activations.empty()
                              ? FromTranscripts(*decoder, *model, flags, stream)
                              : FromActivations(*decoder, flags, stream);
  if (decoded.readings.empty()) ThrowIfInterrupted("nothing was read yet");
  WriteReadings(flags.output, decoded.readings);
  if (!flags.html.empty()) {
    const Timeline timeline = {.decoder = "Decoder: " + DecoderName(info) + ", kind " + info.kind,
                               .source = "Reads " + info.model_name + " at " +
                                         Join(info.hooks, " + ") + ", tokens: " + info.selection,
                               .transcripts = decoded.timeline};
    WriteFileAtomically(flags.html, HtmlTimeline(timeline));
  }
  PrintReadings(decoded.readings, static_cast<size_t>(std::max<int64_t>(flags.show, 0)), stdout);
  std::printf("%s: %zu readings\n", flags.output.c_str(), decoded.readings.size());
  ThrowIfInterrupted("the readings that were finished are kept");
}

}  // namespace

void AddDecodeCommand(CLI::App& app) {
  auto flags = std::make_shared<DecodeFlags>();
  CLI::App* const command =
      app.add_subcommand("decode", "Read activations, or transcripts, with a trained decoder");
  command->add_option("--decoder", flags->decoder, "The decoder's folder")->required();
  command->add_option("--output", flags->output, "readings.jsonl to write")->required();
  command->add_option("--activations", flags->activations, "The activation file to read");
  command->add_option("--model", flags->model, "A .gguf file or a Hugging Face folder");
  command->add_option("--transcripts", flags->transcripts, "transcripts.jsonl, with --model");
  command->add_option("--html", flags->html,
                      "Write a page that shows tokens by what is read there");
  command->add_option("--per", flags->per, "One reading a transcript, or one a token")
      ->check(CLI::IsMember({"transcript", "token"}))
      ->capture_default_str();
  command
      ->add_option("--window", flags->window,
                   "Tokens that a token's reading pools, for decoders trained on pooled rows")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--top", flags->top, "Emotions in a reading; at least 10")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--show", flags->show, "Readings to print")->capture_default_str();
  command->add_option("--question", flags->question,
                      "Ask this instead of what the decoder was trained to be asked, and keep the "
                      "likeliest answer as the reading's sentence; {holder} stands for whose "
                      "feeling the transcript is about. For decoders that answer questions");
  command
      ->add_option("--samples", flags->samples,
                   "Draw N answers a row at temperature 1; the sentence is one of the majority's, "
                   "the confidence the majority's share. Answers agree that begin with the same "
                   "yes or no, else that name the same emotion first, else that are the same words")
      ->check(CLI::Range(1, 1000));
  AddRenderFlags(*command, flags->render, "as the decoder was trained");
  AddComputeFlags(*command, flags->compute);
  AddBatchTokensFlag(*command, flags->batch_tokens);
  command->add_option("--limit", flags->limit, "Only the first N transcripts");
  command->add_option("--seed", flags->seed, "Seed of random choices")->capture_default_str();
  command->add_flag("--quiet", flags->quiet, "No progress on stderr");
  command->callback([flags] { RunDecode(*flags); });
}

}  // namespace extrospect
