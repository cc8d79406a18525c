// The program in a process of its own, and what it wrote.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "records/activations.h"

namespace extrospect {

// Starts the program, which says nothing on standard output. Returns its process.
inline pid_t StartProgram(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), EXTROSPECT_PROGRAM);
  const pid_t child = ::fork();
  if (child == 0) {
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    if (std::freopen("/dev/null", "w", stdout) == nullptr) ::_exit(126);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  return child;
}

// Waits for its end. Returns the exit code, or minus the signal that killed it.
inline int WaitFor(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// The objects of a file of JSON lines.
inline std::vector<nlohmann::json> JsonLines(const std::string& path) {
  std::vector<nlohmann::json> objects;
  std::istringstream lines(ReadFile(path));
  for (std::string line; std::getline(lines, line);) objects.push_back(nlohmann::json::parse(line));
  return objects;
}

// The values of all hooks of an activation file, one hook after another.
inline std::vector<float> AllRows(const std::string& path) {
  const ActivationReader reader(path);
  const uint64_t rows = reader.layout().n_rows();
  std::vector<float> values;
  for (const std::string& hook : reader.hooks()) {
    std::vector<float> some(rows * reader.origin().d_model);
    reader.Read(hook, 0, rows, some);
    values.insert(values.end(), some.begin(), some.end());
  }
  return values;
}

}  // namespace extrospect
