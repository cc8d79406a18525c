#include "records/labels.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "base/random.h"

namespace extrospect {
namespace {

using nlohmann::json;

Error BadLabel(const std::string& where, const char* field) {
  return Error("cannot read a label").At(where + ", field '" + field + "'");
}

std::string Text(const json& object, const char* field, const std::string& where) {
  const auto found = object.find(field);
  if (found == object.end() || found->is_null()) return "";
  if (!found->is_string()) {
    throw BadLabel(where, field).Expected("a string").Found(found->type_name());
  }
  return found->get<std::string>();
}

}  // namespace

Labels ParseLabels(const json& object, const std::string& where) {
  Labels labels;
  labels.emotion = Text(object, "emotion", where);
  if (!labels.emotion.empty()) labels.emotions.push_back(labels.emotion);
  if (const auto found = object.find("emotions"); found != object.end() && !found->is_null()) {
    if (!found->is_array()) {
      throw BadLabel(where, "emotions").Expected("a list of strings").Found(found->type_name());
    }
    for (const json& item : *found) {
      if (!item.is_string()) {
        throw BadLabel(where, "emotions").Expected("a list of strings").Found(item.type_name());
      }
      auto word = item.get<std::string>();
      auto& all = labels.emotions;
      if (std::find(all.begin(), all.end(), word) == all.end()) all.push_back(std::move(word));
    }
    if (labels.emotion.empty() && !labels.emotions.empty()) {
      labels.emotion = labels.emotions.front();
    }
  }
  labels.holder = Text(object, "holder", where);
  constexpr std::array<std::string_view, 4> kHolders = {"", "user", "assistant", "character"};
  if (std::find(kHolders.begin(), kHolders.end(), labels.holder) == kHolders.end()) {
    throw BadLabel(where, "holder")
        .Expected("user, assistant or character")
        .Found("\"" + labels.holder + "\"");
  }
  if (const auto found = object.find("intensity"); found != object.end() && !found->is_null()) {
    if (!found->is_number_integer() || *found < 1 || *found > 5) {
      throw BadLabel(where, "intensity").Expected("an integer from 1 to 5").Found(found->dump());
    }
    labels.intensity = found->get<int>();
  }
  labels.description = Text(object, "description", where);
  labels.split = Text(object, "split", where);
  if (labels.split == "validation" || labels.split == "valid") labels.split = "dev";
  labels.situation = Text(object, "situation", where);
  labels.hard = Text(object, "hard", where);
  return labels;
}

std::string SplitByHash(const std::string& id, const Labels& labels) {
  const std::string& together = labels.situation.empty() ? id : labels.situation;
  const uint64_t tenth = RandomStream(0, "split/" + together).Below(10);
  return tenth < 8 ? "train" : tenth == 8 ? "dev" : "test";
}

std::string AssignSplits(const std::vector<SplitEntry>& transcripts, const std::string& where) {
  const bool given = std::any_of(transcripts.begin(), transcripts.end(),
                                 [](const auto& entry) { return !entry.labels->split.empty(); });
  if (!given) {
    for (const auto& [id, labels] : transcripts) labels->split = SplitByHash(id, *labels);
    return "no splits given: 80/10/10 by a hash of situation or id";
  }
  constexpr std::array<std::string_view, 4> kNames = {"train", "dev", "test", "unseen"};
  for (const auto& [id, labels] : transcripts) {
    if (labels->split.empty() ||
        std::find(kNames.begin(), kNames.end(), labels->split) != kNames.end()) {
      continue;
    }
    throw Error("unknown split")
        .At(where + ", transcript " + id)
        .Expected("train, dev, test or unseen")
        .Found("\"" + labels->split + "\"");
  }
  return "";
}

}  // namespace extrospect
