// Ctrl-C as a request: the work in hand is finished and kept, then the program ends with code 130.
#pragma once

namespace extrospect {

// From now on the first SIGINT or SIGTERM sets a flag; the second ends the process at once.
void InstallInterruptHandler();

// Whether the flag is set.
bool Interrupted();

// Throws an Error with ExitCode::kInterrupted if the flag is set; `hint` says how to continue.
void ThrowIfInterrupted(const char* hint);

}  // namespace extrospect
