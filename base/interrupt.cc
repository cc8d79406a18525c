#include "base/interrupt.h"

#include <csignal>

#include "base/error.h"

namespace extrospect {
namespace {

volatile std::sig_atomic_t interrupted = 0;

extern "C" void OnInterrupt(int signal) {
  interrupted = 1;
  std::signal(signal, SIG_DFL);
}

}  // namespace

void InstallInterruptHandler() {
  std::signal(SIGINT, OnInterrupt);
  std::signal(SIGTERM, OnInterrupt);
}

bool Interrupted() { return interrupted != 0; }

void ThrowIfInterrupted(const char* hint) {
  if (Interrupted()) throw Error("interrupted", ExitCode::kInterrupted).Hint(hint);
}

}  // namespace extrospect
