#include "records/readings.h"

#include <cmath>
#include <nlohmann/json.hpp>

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

void WriteReadings(const std::filesystem::path& path, const std::vector<Reading>& readings) {
  AtomicFile file(path);
  for (const Reading& reading : readings) file.Write(ToJson(reading) + "\n");
  file.Commit();
}

}  // namespace extrospect
