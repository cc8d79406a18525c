// Progress with rate and time left, on stderr: a bar that redraws itself on a terminal, a line now
// and then elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace extrospect {

// "1.2k", "3.4M": three significant digits.
std::string ShortNumber(double value);
// "1:02:03", "4:05".
std::string ClockTime(double seconds);

class Progress {
 public:
  // `what` names the work ("extract"), `unit` what is counted ("tokens"). A null stream is silent.
  Progress(std::string what, std::string unit, int64_t total, std::FILE* stream = stderr);
  // Ends the bar's line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Counts `n` more units; redraws when it is time. `note` stands at the end of the line.
  void Add(int64_t n, const std::string& note = "");

  double seconds() const;
  double rate() const;  // units a second

 private:
  void Draw();

  using Clock = std::chrono::steady_clock;
  std::string what_, unit_;
  int64_t total_, done_ = 0, drawn_ = 0;  // drawn_: what was done when it was drawn last
  std::string note_;
  std::FILE* stream_;
  bool terminal_;
  Clock::time_point start_, last_drawn_;
};

}  // namespace extrospect
