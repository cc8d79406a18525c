// `extrospect extract`.
#pragma once

#include "base/ranks.h"

namespace CLI {
class App;
}

namespace extrospect {

// Adds the subcommand to the program; its callback runs it and throws Error.
void AddExtractCommand(CLI::App& app, const Ranks& ranks);

}  // namespace extrospect
