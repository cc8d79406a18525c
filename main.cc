// The program: subcommands over the libraries, and the one place where errors end.
#include <c10/util/Exception.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <new>
#include <optional>
#include <sstream>
#include <string>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/ranks.h"
#include "base/version.h"
#include "decode/ask/ask_command.h"
#include "decode/command.h"
#include "eval/command.h"
#include "extract/command.h"
#include "model/command.h"
#include "train/command.h"

namespace {

using extrospect::ExitCode;

// Waits for what rank 0 has to say, says `message` where it did not, and ends all ranks.
int Fail(extrospect::RanksSession& session, const std::string& message, ExitCode code) {
  const extrospect::Ranks& ranks = session.ranks();
  session.GiveWay();
  if (ranks.first()) {
    std::fputs(message.c_str(), stderr);
  } else {
    std::fprintf(stderr, "rank %d of %d: %s", ranks.rank(), ranks.size(), message.c_str());
  }
  session.Abort(static_cast<int>(code));
  return static_cast<int>(code);
}

// For commands that one process does.
void RefuseRanks(CLI::App& app, const char* name, const extrospect::Ranks& ranks) {
  if (!ranks.several()) return;
  app.get_subcommand(name)->preparse_callback([name, ranks](size_t) {
    throw extrospect::UsageError(std::string(name) + " is not shared between processes")
        .Found(std::to_string(ranks.size()) + " ranks")
        .Hint("run it without mpirun or srun");
  });
}

int Run(int argc, char** argv, extrospect::RanksSession& session) {
  const extrospect::Ranks& ranks = session.ranks();
  CLI::App app("Reads what a language model feels from its activations instead of asking it.",
               "extrospect");
  app.set_version_flag("--version", extrospect::kProgramVersion);
  app.require_subcommand(1);
  extrospect::AddModelCommand(app);
  extrospect::AddExtractCommand(app, ranks);
  extrospect::AddTrainCommand(app, ranks);
  extrospect::AddDecodeCommand(app);
  extrospect::AddAskCommand(app);
  extrospect::AddEvalCommand(app);
  for (const char* const command : {"model", "decode", "ask", "eval"}) {
    RefuseRanks(app, command, ranks);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out, err;
    if (app.exit(error, out, err) != 0) return Fail(session, err.str(), ExitCode::kUsage);
    if (ranks.first()) std::fputs(out.str().c_str(), stdout);
  }
  session.Finish();
  std::cout.flush();
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0 || !std::cout) {
    throw extrospect::Error("cannot write to standard output").Found(std::strerror(errno));
  }
  return static_cast<int>(ExitCode::kDone);
}

// Tensors of a batch come and go hundreds of times a second. Left alone, the allocator gives each
// back to the kernel, which clears every page anew: 6 % of an extraction.
void KeepFreedMemory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, -1);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  KeepFreedMemory();
  extrospect::InstallInterruptHandler();
  std::optional<extrospect::RanksSession> session;
  const auto fail = [&](const std::string& message, ExitCode code) {
    const std::string text = "error: " + message + "\n";
    if (session) return Fail(*session, text, code);
    std::fputs(text.c_str(), stderr);
    return static_cast<int>(code);
  };
  try {
    session.emplace();
    return Run(argc, argv, *session);
  } catch (const extrospect::Error& error) {
    return fail(error.what(), error.code());
  } catch (const std::bad_alloc&) {
    return fail("out of memory\n  hint: a smaller --batch-tokens needs less", ExitCode::kFailed);
  } catch (const c10::Error& error) {
    return fail(error.what_without_backtrace(), ExitCode::kFailed);
  } catch (const std::exception& error) {
    return fail(error.what(), ExitCode::kFailed);
  }
}
