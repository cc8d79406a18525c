// The one exception type of the project, and the exit codes that it leads to.
#pragma once

#include <stdexcept>
#include <string>

namespace extrospect {

// Process exit codes; a contract with scripts that call the program.
enum class ExitCode { kDone = 0, kFailed = 1, kUsage = 2, kInterrupted = 130 };

// Says what failed, where, what was expected, what was found, and how to mend it. Thrown by value;
// the setters chain, so that a throw reads as one sentence:
//
//   throw Error("cannot read tensor").At(path).Expected("a shape of [4, 8]").Found("[8]")
//       .Hint("download the file again");
//
// Every part but the first may be left out. what() is the whole message, one part a line.
class Error : public std::exception {
 public:
  explicit Error(std::string what, ExitCode code = ExitCode::kFailed);

  Error& At(std::string where);
  Error& Expected(std::string expected);
  Error& Found(std::string found);
  Error& Hint(std::string hint);

  const char* what() const noexcept override { return message_.c_str(); }
  ExitCode code() const { return code_; }

 private:
  Error& Set(std::string& part, std::string text);

  std::string what_, where_, expected_, found_, hint_;
  std::string message_;
  ExitCode code_;
};

// An Error for wrong flags and bad configurations: exit code 2.
Error UsageError(std::string what);

}  // namespace extrospect
