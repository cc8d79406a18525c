// Reading a JSON file whose mistakes are named by their place.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace extrospect {

// One value, its place in the file ("model.merges[3]"), and the file's name. What points at it must
// not outlive the document. Every getter throws Error naming file and place if the value is missing
// or of another kind.
class JsonNode {
 public:
  JsonNode(const nlohmann::json* value, std::string path, const std::string* file)
      : value_(value), path_(std::move(path)), file_(file) {}

  // A member of an object. Get throws if there is none; Has is false for null, too.
  JsonNode Get(const std::string& key) const;
  bool Has(const std::string& key) const;

  std::vector<JsonNode> Elements() const;
  std::vector<std::pair<std::string, JsonNode>> Members() const;
  const nlohmann::json& Object() const;
  std::string String() const;
  bool Bool() const;
  bool BoolOr(const std::string& key, bool otherwise) const;
  int32_t Id() const;  // a whole number from 0 to 2^31 - 1
  std::string Type() const { return Get("type").String(); }

  const nlohmann::json& value() const { return *value_; }

  // An Error at this place.
  Error Wrong(std::string expected, std::string found) const;

 private:
  std::string Kind() const;
  std::string PathOf(const std::string& key) const;

  const nlohmann::json* value_;
  std::string path_;
  const std::string* file_;
};

}  // namespace extrospect
