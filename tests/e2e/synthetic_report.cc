// Writes the report of made-up trials into a folder: synthetic_report FOLDER.
#include <cstdio>
#include <exception>

#include "tests/unit/eval/synthetic_trials.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: synthetic_report FOLDER\n");
    return 2;
  }
  try {
    extrospect::WriteSyntheticReport(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
