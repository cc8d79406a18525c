// What training measured: metrics.jsonl, and the same numbers for TensorBoard.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

namespace extrospect {

// Collects one object per evaluation and writes them all, atomically, at each Flush. Objects hold
// "event" (what was evaluated), "step" where there is one, and numbers, which may be nested. Times
// are left out, so that equal runs write equal files; TensorBoard's clock shows steps.
class MetricsLog {
 public:
  explicit MetricsLog(std::filesystem::path folder);

  void Add(nlohmann::ordered_json object);
  void Flush() const;

  // For checkpoints.
  const nlohmann::ordered_json& objects() const { return objects_; }
  void Restore(nlohmann::ordered_json objects) { objects_ = std::move(objects); }

 private:
  std::filesystem::path folder_;
  nlohmann::ordered_json objects_ = nlohmann::ordered_json::array();
};

}  // namespace extrospect
