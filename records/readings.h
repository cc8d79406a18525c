// readings.jsonl: what a decoder read, one JSON object a reading.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace extrospect {

struct EmotionProbability {
  std::string name;
  double p = 0.0;
};

struct Reading {
  std::string transcript;  // its id
  std::string hook;
  uint32_t position = 0;                     // the row's token; the last one's, of a span
  uint32_t first_position = 0;               // the same as position unless the row is a pooled span
  std::string token;                         // the text of the token at `position`
  std::string reading;                       // the sentence
  std::vector<EmotionProbability> emotions;  // best first, calibrated; at least the ten best
  double valence = 0.0;                      // −1 … 1
  double arousal = 0.0;                      // −1 … 1
  double confidence = 0.0;                   // 0 … 1
  bool abstained = false;                    // nothing to report
  std::string decoder;                       // its name and hash
};

// One line of readings.jsonl, without the newline. Numbers are rounded to six places.
std::string ToJson(const Reading& reading);

void WriteReadings(const std::filesystem::path& path, const std::vector<Reading>& readings);

}  // namespace extrospect
