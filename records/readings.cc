#include "records/readings.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/bounded_json.h"
#include "base/error.h"
#include "base/file.h"

namespace extrospect {
namespace {

double Rounded(double x) { return std::round(x * 1e6) / 1e6; }

}  // namespace

std::string ToJson(const Reading& reading) {
  nlohmann::ordered_json emotions = nlohmann::ordered_json::array();
  for (const EmotionProbability& emotion : reading.emotions) {
    emotions.push_back({{"name", emotion.name}, {"p", Rounded(emotion.p)}});
  }
  const nlohmann::ordered_json object = {
      {"transcript", reading.transcript},
      {"hook", reading.hook},
      {"position", reading.position},
      {"first_position", reading.first_position},
      {"token", reading.token},
      {"reading", reading.reading},
      {"emotions", emotions},
      {"valence", Rounded(reading.valence)},
      {"arousal", Rounded(reading.arousal)},
      {"confidence", Rounded(reading.confidence)},
      {"abstained", reading.abstained},
      {"decoder", reading.decoder},
  };
  // A token may hold half a character; the replacement keeps the line valid.
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Reading ParseReading(std::string_view line, const std::string& where) {
  try {
    const auto object = ParseBoundedJson(line, where);
    Reading reading;
    reading.transcript = object.at("transcript").get<std::string>();
    reading.hook = object.at("hook").get<std::string>();
    reading.position = object.at("position").get<uint32_t>();
    reading.first_position = object.value("first_position", reading.position);
    reading.token = object.value("token", "");
    reading.reading = object.at("reading").get<std::string>();
    for (const auto& emotion : object.at("emotions")) {
      reading.emotions.push_back(
          {emotion.at("name").get<std::string>(), emotion.at("p").get<double>()});
    }
    reading.valence = object.value("valence", 0.0);
    reading.arousal = object.value("arousal", 0.0);
    reading.confidence = object.value("confidence", 0.0);
    reading.abstained = object.value("abstained", false);
    reading.decoder = object.value("decoder", "");
    return reading;
  } catch (const nlohmann::json::exception& error) {
    throw Error("cannot read a reading").At(where).Found(error.what());
  }
}

void WriteReadings(const std::filesystem::path& path, const std::vector<Reading>& readings) {
  AtomicFile file(path);
  for (const Reading& reading : readings) file.Write(ToJson(reading) + "\n");
  file.Commit();
}

std::vector<Reading> ReadReadings(const std::filesystem::path& path) {
  const std::string text = ReadFile(path);
  std::vector<Reading> readings;
  size_t begin = 0;
  for (int64_t line = 1; begin < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view row(text.data() + begin, end - begin);
    if (row.find_first_not_of(" \t\r") != row.npos) {
      readings.push_back(ParseReading(row, path.string() + ", line " + std::to_string(line)));
    }
    begin = end + 1;
  }
  return readings;
}

}  // namespace extrospect
