// What the benchmark programs share: each holds a warm process that reads a command a line from
// stdin and answers with one line of JSON.
#pragma once

#include <malloc.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

namespace extrospect::bench {

using Clock = std::chrono::steady_clock;

inline double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

inline void Print(const nlohmann::ordered_json& answer) {
  std::printf("%s\n", answer.dump().c_str());
  std::fflush(stdout);
}

// Peak of this process's memory in bytes, since it began or since the last reset.
inline int64_t PeakMemory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  }
  return -1;
}
inline void ResetPeakMemory() { std::ofstream("/proc/self/clear_refs") << "5"; }

// Makes a Bench of the command line, prints its Start() and then what Run() gives for every line.
template <typename Bench>
int Main(int argc, char** argv, int n_arguments, const char* usage) {
  if (argc != n_arguments + 1) {
    std::fprintf(stderr, "usage: %s %s\n", argv[0], usage);
    return 2;
  }
  mallopt(M_MMAP_THRESHOLD, 1 << 30);  // as main.cc does
  mallopt(M_TRIM_THRESHOLD, -1);
  try {
    Bench bench(argv);
    Print(bench.Start());
    for (std::string line; std::getline(std::cin, line);) {
      ResetPeakMemory();
      Print(bench.Run(line));
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}

}  // namespace extrospect::bench
