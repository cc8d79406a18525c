#include "base/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace extrospect {
namespace {

constexpr std::chrono::milliseconds kTerminalInterval(100);
constexpr std::chrono::seconds kLogInterval(10);
constexpr int64_t kBarWidth = 24;

}  // namespace

std::string ShortNumber(double value) {
  static constexpr const char* kSuffixes[] = {"", "k", "M", "G", "T"};
  size_t suffix = 0;
  while (std::abs(value) >= 999.5 && suffix + 1 < std::size(kSuffixes)) {
    value /= 1000;
    ++suffix;
  }
  char text[32];
  const int decimals = suffix == 0 && value == std::floor(value) ? 0
                       : std::abs(value) < 9.995                 ? 2
                       : std::abs(value) < 99.95                 ? 1
                                                                 : 0;
  std::snprintf(text, sizeof text, "%.*f%s", decimals, value, kSuffixes[suffix]);
  return text;
}

std::string ClockTime(double seconds) {
  const auto total = static_cast<int64_t>(std::llround(std::max(0.0, seconds)));
  const auto hours = static_cast<int>(std::min<int64_t>(total / 3600, 99999));
  const auto minutes = static_cast<int>(total / 60 % 60), rest = static_cast<int>(total % 60);
  char text[32];
  if (hours > 0) {
    std::snprintf(text, sizeof text, "%d:%02d:%02d", hours, minutes, rest);
  } else {
    std::snprintf(text, sizeof text, "%d:%02d", minutes, rest);
  }
  return text;
}

Progress::Progress(std::string what, std::string unit, int64_t total, std::FILE* stream)
    : what_(std::move(what)),
      unit_(std::move(unit)),
      total_(std::max<int64_t>(total, 1)),
      stream_(stream),
      terminal_(stream != nullptr && ::isatty(::fileno(stream)) != 0),
      start_(Clock::now()),
      last_drawn_(start_) {}

Progress::~Progress() {
  if (stream_ == nullptr || done_ == 0) return;
  if (drawn_ != done_) Draw();
  if (terminal_) std::fputc('\n', stream_);
}

void Progress::Add(int64_t n, const std::string& note) {
  done_ += n;
  note_ = note;
  if (stream_ == nullptr) return;
  const auto now = Clock::now();
  if (now - last_drawn_ < (terminal_ ? Clock::duration(kTerminalInterval) : kLogInterval)) return;
  last_drawn_ = now;
  Draw();
}

double Progress::seconds() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

double Progress::rate() const { return static_cast<double>(done_) / std::max(seconds(), 1e-9); }

void Progress::Draw() {
  drawn_ = done_;
  const double part = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
  const double left = static_cast<double>(total_ - done_) / std::max(rate(), 1e-9);
  std::string line = what_;
  if (terminal_) {
    const auto full = static_cast<int64_t>(part * kBarWidth);
    line = "\r\033[K" + line + " [" + std::string(full, '=') + std::string(kBarWidth - full, ' ') +
           "]";
  }
  line += " " + std::to_string(static_cast<int>(part * 100)) + " %  " +
          ShortNumber(static_cast<double>(done_)) + "/" + ShortNumber(static_cast<double>(total_)) +
          " " + unit_ + "  " + ShortNumber(rate()) + "/s  " +
          (done_ < total_ ? ClockTime(left) + " left" : "in " + ClockTime(seconds()));
  if (!note_.empty()) line += "  " + note_;
  std::fputs((line + (terminal_ ? "" : "\n")).c_str(), stream_);
  std::fflush(stream_);
}

}  // namespace extrospect
