// `extrospect ask`.
#pragma once

namespace CLI {
class App;
}

namespace extrospect {

// Adds the subcommand to the program; its callback runs it and throws Error.
void AddAskCommand(CLI::App& app);

}  // namespace extrospect
