// `extrospect model info` and `extrospect model tokenize`.
#pragma once

namespace CLI {
class App;
}

namespace extrospect {

// Adds the subcommand `model` to the program; its callbacks run it and throw Error.
void AddModelCommand(CLI::App& app);

}  // namespace extrospect
