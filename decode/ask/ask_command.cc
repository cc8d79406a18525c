#include "decode/ask/ask_command.h"

#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/interrupt.h"
#include "decode/ask/ask_dialog.h"
#include "decode/ask/ask_session.h"
#include "decode/load.h"
#include "extract/model_flags.h"
#include "model/model.h"

namespace extrospect {
namespace {

struct AskFlags {
  std::string decoder, model, transcripts, transcript, span, tokens;
  std::vector<std::string> questions;
  RenderFlags render;
  ComputeFlags compute;
  int64_t samples = 0;
  uint64_t seed = 0;
  bool json = false;
};

// Lines of standard input, from a person or a pipe. Unlike std::getline, an interruption ends the
// wait for the next one.
class Lines {
 public:
  explicit Lines(bool prompt) : prompt_(prompt) {}

  bool Next(std::string& line) {
    if (prompt_) std::cout << "> " << std::flush;
    size_t end;
    while ((end = pending_.find('\n')) == pending_.npos && Read()) {
    }
    if (end == pending_.npos) {
      if (prompt_) std::cout << "\n";
      if (pending_.empty()) return false;
      end = pending_.size();
    }
    line = pending_.substr(0, end);
    pending_.erase(0, end + 1);
    return true;
  }

 private:
  bool Read() {
    pollfd input = {STDIN_FILENO, POLLIN, 0};
    for (;;) {
      ThrowIfInterrupted("");
      if (::poll(&input, 1, -1) < 0) {
        if (errno == EINTR) continue;
        return false;
      }
      std::array<char, 4096> bytes;
      const ssize_t n = ::read(STDIN_FILENO, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      pending_.append(bytes.data(), static_cast<size_t>(n));
      return true;
    }
  }

  bool prompt_;
  std::string pending_;
};

void RunAsk(const AskFlags& flags) {
  flags.compute.SetThreads();
  AskOptions options;
  options.samples = flags.samples;
  options.seed = flags.seed;
  std::vector<Transcript> transcripts = ReadTranscripts(flags.transcripts);
  const auto model =
      std::make_shared<const LanguageModel>(LoadModel(flags.model, flags.compute.weights()));
  const std::unique_ptr<Decoder> decoder =
      LoadDecoder(flags.decoder, ParseDevices(flags.compute.device).front(), model);
  options.prepare = flags.render.prepare(decoder->info().rendering);
  AskSession session(*decoder, *model, std::move(transcripts), options, flags.transcript);
  if (!flags.span.empty()) session.SelectSpan(flags.span);
  if (!flags.tokens.empty()) session.SelectTokens(flags.tokens);

  DialogOptions dialog;
  dialog.json = flags.json;
  dialog.colours = ::isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
  if (!flags.questions.empty()) {
    for (const std::string& question : flags.questions) {
      ThrowIfInterrupted("");
      WriteAnswers(session, question, dialog, std::cout);
    }
    return;
  }
  const bool person = ::isatty(STDIN_FILENO) != 0 && !flags.json;
  if (person) std::cout << "Ask about " << session.transcript().id << ", or say help.\n";
  Lines lines(person);
  Converse(
      session, [&](std::string& line) { return lines.Next(line); }, dialog, std::cout, std::cerr);
}

}  // namespace

void AddAskCommand(CLI::App& app) {
  auto flags = std::make_shared<AskFlags>();
  CLI::App* const command = app.add_subcommand(
      "ask",
      "Ask a decoder about a transcript, or a span of its tokens, in your own words: with "
      "--question and an end, or in a dialog on standard input");
  command->add_option("--decoder", flags->decoder, "The folder of a decoder that answers questions")
      ->required();
  command->add_option("--model", flags->model, "A .gguf file or a Hugging Face folder")->required();
  command->add_option("--transcripts", flags->transcripts, "transcripts.jsonl")->required();
  command->add_option("--transcript", flags->transcript,
                      "The id of the one to ask about (default: "
                      "the first)");
  CLI::Option* const span = command->add_option(
      "--span", flags->span, "Ask about tokens FIRST:LAST, from 0, both included");
  command
      ->add_option("--tokens", flags->tokens,
                   "Ask about a selection of tokens: content, all, last:K, role:assistant, "
                   "message:-1 (default: what the decoder was trained on)")
      ->excludes(span);
  command
      ->add_option("--question", flags->questions,
                   "What to ask; repeatable. {holder} stands for whose feeling the transcript is "
                   "about; an empty question is the decoder's own")
      ->allow_extra_args(false)
      ->take_all();
  command
      ->add_option("--samples", flags->samples,
                   "Draw N answers at temperature 1 and say the majority's, with its share as "
                   "confidence (see decode --help)")
      ->check(CLI::Range(1, 1000));
  command->add_flag("--json", flags->json, "Answers as JSON, one object a line");
  AddRenderFlags(*command, flags->render, "as the decoder was trained");
  AddComputeFlags(*command, flags->compute);
  command->add_option("--seed", flags->seed, "Seed of the samples")->capture_default_str();
  command->callback([flags] { RunAsk(*flags); });
}

}  // namespace extrospect
