#include "train/loop/metrics_log.h"

#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "train/loop/tfevents.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;

// Numbers by path: "dev/top1".
void Collect(const ordered_json& object, const std::string& prefix,
             std::vector<std::pair<std::string, double>>& scalars) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_number() && key != "step") scalars.emplace_back(prefix + key, value);
    if (value.is_object()) Collect(value, prefix + key + "/", scalars);
  }
}

}  // namespace

MetricsLog::MetricsLog(std::filesystem::path folder) : folder_(std::move(folder)) {}

void MetricsLog::Add(ordered_json object) { objects_.push_back(std::move(object)); }

void MetricsLog::Flush() const {
  std::string lines, events = EventFileHeader();
  for (const ordered_json& object : objects_) {
    lines += object.dump() + "\n";
    if (!object.contains("step")) continue;
    std::vector<std::pair<std::string, double>> scalars;
    Collect(object, object.value("event", "") + "/", scalars);
    const auto step = object.at("step").get<int64_t>();
    events += ScalarEvent(static_cast<double>(step), step, scalars);
  }
  WriteFileAtomically(folder_ / "metrics.jsonl", lines);
  WriteFileAtomically(folder_ / "events.out.tfevents.0.extrospect", events);
}

}  // namespace extrospect
