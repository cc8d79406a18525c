// A model's configuration under its Hugging Face names, read with care: the file is from outside.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace extrospect {

// Typed access to the members of a JSON object. A member that is null counts as missing. Find…
// returns nothing where a member is missing, the others throw; all throw Error, naming file and
// key, if a value is of another kind.
class Hyperparameters {
 public:
  // `where` is what messages call the file. Throws Error unless `values` is an object.
  Hyperparameters(nlohmann::json values, std::string where);

  // Gives a value to each key of the object `defaults` that is not there. A null that is there
  // stays: it means "none".
  void AddDefaults(const nlohmann::json& defaults);

  // Sizes and counts: integers from 1 to 2^24, more than any model has.
  int64_t Size(const char* key) const;
  std::optional<int64_t> FindSize(const char* key) const;
  // Finite numbers.
  double Number(const char* key) const;
  std::optional<double> FindNumber(const char* key) const;
  bool Flag(const char* key, bool otherwise) const;
  std::optional<std::string> FindText(const char* key) const;
  std::optional<std::vector<std::string>> FindTexts(const char* key) const;
  std::optional<std::vector<double>> FindNumbers(const char* key) const;
  // A nested object.
  std::optional<Hyperparameters> FindGroup(const char* key) const;

  const std::string& where() const { return where_; }
  // For a value that is understood but cannot be obeyed.
  Error Unsupported(const char* key, const std::string& expected) const;

 private:
  const nlohmann::json* Find(const char* key) const;
  Error Missing(const char* key) const;
  Error Wrong(const char* key, const std::string& expected) const;

  nlohmann::json values_;
  std::string where_;
};

}  // namespace extrospect
