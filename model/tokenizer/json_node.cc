#include "model/tokenizer/json_node.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "model/files/quote.h"

namespace extrospect {

Error JsonNode::Wrong(std::string expected, std::string found) const {
  return Error("cannot use the tokenizer")
      .At(*file_ + (path_.empty() ? "" : ": " + path_))
      .Expected(std::move(expected))
      .Found(std::move(found));
}

std::string JsonNode::Kind() const { return std::string("a value of type ") + value_->type_name(); }

bool JsonNode::Has(const std::string& key) const {
  const auto member = value_->find(key);
  return value_->is_object() && member != value_->end() && !member->is_null();
}

std::string JsonNode::PathOf(const std::string& key) const {
  // Vocabularies have keys that do not fit into a message as they are.
  const auto is_plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
  };
  if (!std::all_of(key.begin(), key.end(), is_plain)) return path_ + "[" + Quote(key) + "]";
  return path_.empty() ? key : path_ + "." + key;
}

JsonNode JsonNode::Get(const std::string& key) const {
  const auto member = Object().find(key);
  if (member != value_->end()) return JsonNode(&*member, PathOf(key), file_);
  throw JsonNode(value_, PathOf(key), file_).Wrong("a value", "nothing");
}

std::vector<std::pair<std::string, JsonNode>> JsonNode::Members() const {
  std::vector<std::pair<std::string, JsonNode>> members;
  members.reserve(Object().size());
  for (const auto& [key, value] : value_->items()) {
    members.emplace_back(key, JsonNode(&value, PathOf(key), file_));
  }
  return members;
}

std::vector<JsonNode> JsonNode::Elements() const {
  if (!value_->is_array()) throw Wrong("a list", Kind());
  std::vector<JsonNode> nodes;
  nodes.reserve(value_->size());
  for (size_t i = 0; i < value_->size(); ++i) {
    nodes.emplace_back(&(*value_)[i], path_ + "[" + std::to_string(i) + "]", file_);
  }
  return nodes;
}

const nlohmann::json& JsonNode::Object() const {
  if (!value_->is_object()) throw Wrong("an object", Kind());
  return *value_;
}

std::string JsonNode::String() const {
  if (!value_->is_string()) throw Wrong("a text", Kind());
  return value_->get<std::string>();
}

bool JsonNode::Bool() const {
  if (!value_->is_boolean()) throw Wrong("true or false", Kind());
  return value_->get<bool>();
}

bool JsonNode::BoolOr(const std::string& key, bool otherwise) const {
  return Has(key) ? Get(key).Bool() : otherwise;
}

int32_t JsonNode::Id() const {
  if (value_->is_number_unsigned() && value_->get<uint64_t>() <= INT32_MAX) {
    return value_->get<int32_t>();
  }
  throw Wrong("a whole number from 0 to 2147483647", value_->is_number() ? value_->dump() : Kind());
}

}  // namespace extrospect
