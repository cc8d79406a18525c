// What authors say of a transcript: the labels in its own line, or by id in a file of targets.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace extrospect {

// Empty or unset where nothing is said.
struct Labels {
  std::string emotion;                // the main label
  std::vector<std::string> emotions;  // all labels, the main one first, each once
  std::string holder;                 // "user", "assistant" or "character"
  std::optional<int> intensity;       // 1 … 5
  std::string description;
  std::string split;      // "validation" and "valid" are read as "dev"
  std::string situation;  // transcripts of one situation are never on two sides of a split
  std::string hard;       // the kind of a hard transcript ("masked")
};

// `where` ("file, line 3") stands in the Error that a label of a wrong type or value throws, with
// the field. Other fields are not looked at.
Labels ParseLabels(const nlohmann::json& object, const std::string& where);

// A labelled transcript whose split is looked after.
struct SplitEntry {
  std::string id;
  Labels* labels;
};

// Where no transcript has a split, each gets one: 80/10/10 by a hash of its situation, or of its id
// where it has none. Returns what was done, for the user. Where some have one, returns nothing, and
// the others stay without. Throws Error (at `where`) on splits other than train, dev, test, unseen.
std::string AssignSplits(const std::vector<SplitEntry>& transcripts, const std::string& where);

// The split that AssignSplits gives where there are none.
std::string SplitByHash(const std::string& id, const Labels& labels);

}  // namespace extrospect
