#include "decode/terminal.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "records/lexicon.h"

namespace extrospect {
namespace {

constexpr int kBarWidth = 20;

std::string Plain(const std::string& text) {
  std::string plain;
  for (const char byte : text) {
    const auto code = static_cast<unsigned char>(byte);
    plain += code < 0x20 || code == 0x7F ? '?' : byte;
  }
  return plain;
}

// From red (−1) over grey to green (1), in the 256 colours.
std::string Colour(double valence, bool colours) {
  if (!colours) return "";
  static constexpr int kScale[] = {196, 203, 210, 250, 150, 114, 77};
  const auto index = static_cast<int>(std::lround((std::clamp(valence, -1.0, 1.0) + 1) * 3));
  return "\033[38;5;" + std::to_string(kScale[index]) + "m";
}

std::string Number(double value, const char* format) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

}  // namespace

std::string TerminalView(const Reading& reading, bool colours) {
  const std::string off = colours ? "\033[0m" : "";
  const std::string dim = colours ? "\033[2m" : "", bold = colours ? "\033[1m" : "";
  std::string text = bold + Plain(reading.transcript) + off + dim + "  " +
                     (reading.first_position == reading.position
                          ? "token " + std::to_string(reading.position)
                          : "tokens " + std::to_string(reading.first_position) + "-" +
                                std::to_string(reading.position)) +
                     off + "\n  " + Colour(reading.valence, colours) + Plain(reading.reading) +
                     off + dim + "  valence " + Number(reading.valence, "%+.2f") + ", arousal " +
                     Number(reading.arousal, "%+.2f") + (reading.abstained ? ", abstained" : "") +
                     off + "\n";
  const size_t shown = std::min<size_t>(5, reading.emotions.size());
  for (size_t i = 0; i < shown; ++i) {
    const EmotionProbability& emotion = reading.emotions[i];
    const auto full = static_cast<size_t>(std::lround(std::clamp(emotion.p, 0.0, 1.0) * kBarWidth));
    std::string name = Plain(emotion.name);
    name.resize(std::max<size_t>(name.size(), 18), ' ');
    text += "    " + name + Number(100 * emotion.p, "%5.1f%% ") + Colour(reading.valence, colours) +
            std::string(full, '#') + off + "\n";
  }
  return text;
}

void PrintReadings(const std::vector<Reading>& readings, size_t limit, std::FILE* stream) {
  const bool colours = ::isatty(::fileno(stream)) != 0 && std::getenv("NO_COLOR") == nullptr;
  for (size_t i = 0; i < std::min(limit, readings.size()); ++i) {
    std::fputs(TerminalView(readings[i], colours).c_str(), stream);
  }
  if (readings.size() > limit) {
    std::fprintf(stream, "... and %zu more\n", readings.size() - limit);
  }
}

}  // namespace extrospect
