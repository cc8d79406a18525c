// The program: subcommands over the libraries, and the one place where errors end.
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <new>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/version.h"
#include "decode/command.h"
#include "eval/command.h"
#include "extract/command.h"
#include "model/command.h"
#include "train/command.h"

namespace {

using extrospect::ExitCode;

int Run(int argc, char** argv) {
  CLI::App app("Reads what a language model feels from its activations instead of asking it.",
               "extrospect");
  app.set_version_flag("--version", extrospect::kProgramVersion);
  app.require_subcommand(1);
  extrospect::AddModelCommand(app);
  extrospect::AddExtractCommand(app);
  extrospect::AddTrainCommand(app);
  extrospect::AddDecodeCommand(app);
  extrospect::AddEvalCommand(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? static_cast<int>(ExitCode::kDone)
                                : static_cast<int>(ExitCode::kUsage);
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
  try {
    return Run(argc, argv);
  } catch (const extrospect::Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "error: out of memory\n  hint: a smaller --batch-tokens needs less\n");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
  }
  return static_cast<int>(ExitCode::kFailed);
}
