#include "model/config/hyperparameters.h"

#include <cmath>
#include <utility>

#include "model/files/quote.h"

namespace extrospect {
namespace {

using nlohmann::json;

constexpr int64_t kMaxSize = int64_t{1} << 24;

std::string Shown(const json& value) {
  return Quote(value.dump(-1, ' ', true, json::error_handler_t::replace));
}

}  // namespace

Hyperparameters::Hyperparameters(json values, std::string where)
    : values_(std::move(values)), where_(std::move(where)) {
  if (!values_.is_object()) {
    throw Error("cannot read the model's configuration")
        .At(where_)
        .Expected("a JSON object")
        .Found(values_.type_name());
  }
}

void Hyperparameters::AddDefaults(const json& defaults) {
  for (const auto& [key, value] : defaults.items()) {
    if (!values_.contains(key)) values_[key] = value;
  }
}

const json* Hyperparameters::Find(const char* key) const {
  const auto found = values_.find(key);
  return found == values_.end() || found->is_null() ? nullptr : &*found;
}

Error Hyperparameters::Missing(const char* key) const {
  return Error("the model's configuration is incomplete").At(where_).Expected(Quote(key));
}

Error Hyperparameters::Wrong(const char* key, const std::string& expected) const {
  return Error("the model's configuration makes no sense")
      .At(where_ + ", " + key)
      .Expected(expected)
      .Found(Shown(*Find(key)));
}

Error Hyperparameters::Unsupported(const char* key, const std::string& expected) const {
  const json* const value = Find(key);
  return Error("the model needs something that is not supported")
      .At(where_ + ", " + key)
      .Expected(expected)
      .Found(value == nullptr ? "nothing" : Shown(*value));
}

std::optional<int64_t> Hyperparameters::FindSize(const char* key) const {
  const json* const value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_integer() || *value < 1 || *value > kMaxSize) {
    throw Wrong(key, "an integer from 1 to " + std::to_string(kMaxSize));
  }
  return value->get<int64_t>();
}

std::optional<double> Hyperparameters::FindNumber(const char* key) const {
  const json* const value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number() || !std::isfinite(value->get<double>())) throw Wrong(key, "a number");
  return value->get<double>();
}

int64_t Hyperparameters::Size(const char* key) const {
  const auto value = FindSize(key);
  if (!value) throw Missing(key);
  return *value;
}

double Hyperparameters::Number(const char* key) const {
  const auto value = FindNumber(key);
  if (!value) throw Missing(key);
  return *value;
}

bool Hyperparameters::Flag(const char* key, bool otherwise) const {
  const json* const value = Find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) throw Wrong(key, "true or false");
  return value->get<bool>();
}

std::optional<std::string> Hyperparameters::FindText(const char* key) const {
  const json* const value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) throw Wrong(key, "a text");
  return value->get<std::string>();
}

std::optional<std::vector<std::string>> Hyperparameters::FindTexts(const char* key) const {
  const json* const value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array()) throw Wrong(key, "a list of texts");
  std::vector<std::string> texts;
  for (const json& item : *value) {
    if (!item.is_string()) throw Wrong(key, "a list of texts");
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

std::optional<std::vector<double>> Hyperparameters::FindNumbers(const char* key) const {
  const json* const value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array()) throw Wrong(key, "a list of numbers");
  std::vector<double> numbers;
  for (const json& item : *value) {
    if (!item.is_number()) throw Wrong(key, "a list of numbers");
    numbers.push_back(item.get<double>());
  }
  return numbers;
}

std::optional<Hyperparameters> Hyperparameters::FindGroup(const char* key) const {
  const json* const value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) throw Wrong(key, "an object");
  return Hyperparameters(*value, where_ + ", " + key);
}

}  // namespace extrospect
