// Run configurations: options with name, default and help in one place, a JSON file over the
// defaults, and `--set a.b=value` over the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace extrospect {

// One option. A value must be of the default's JSON type (an integer default takes integers only,
// a float default any number), except where `or_null` or `or_list` widens it.
struct ConfigOption {
  std::string
      name;  // "learning_rate"; a dot makes groups: "sweep.hooks" is {"sweep": {"hooks": …}}
  nlohmann::ordered_json value;  // the default
  std::string help;
  double min = -std::numeric_limits<double>::infinity();  // of numbers, inclusive
  double max = std::numeric_limits<double>::infinity();
  std::vector<std::string> choices = {};  // of text; empty: any
  bool or_null = false;                   // null is allowed too
  bool or_list = false;                   // a text may be given as a list of texts
};

// The options of one run with their values. Every mistake of the user (unknown key, wrong type,
// out of range, bad JSON) is a UsageError that names the key, and for unknown keys the nearest one
// that there is.
class Config {
 public:
  // `title` names the configuration in messages: "probe".
  Config(std::string title, std::vector<ConfigOption> options);

  // JSON, in which // and /* */ comments are allowed. Keys that begin with "//" are ignored.
  void MergeFile(const std::filesystem::path& path);
  void Merge(const nlohmann::ordered_json& object, const std::string& where);
  // "a.b=value": the value is read as JSON where it is valid JSON, and as text otherwise.
  void Set(std::string_view assignment);

  // Values by full name. A name that was never declared is a bug and throws std::logic_error.
  const nlohmann::ordered_json& At(std::string_view name) const;
  bool IsNull(std::string_view name) const { return At(name).is_null(); }
  bool Flag(std::string_view name) const { return At(name).get<bool>(); }
  int64_t Integer(std::string_view name) const { return At(name).get<int64_t>(); }
  double Number(std::string_view name) const { return At(name).get<double>(); }
  std::string Text(std::string_view name) const { return At(name).get<std::string>(); }
  // A list; a single value is a list of one.
  std::vector<std::string> TextList(std::string_view name) const;
  std::vector<double> NumberList(std::string_view name) const;

  // The resolved configuration as nested JSON, in the order of declaration.
  nlohmann::ordered_json Resolved() const;
  // The same as text for --dump-config: pretty-printed, every option with its help as a comment.
  // MergeFile reads it back.
  std::string Dump() const;

 private:
  const ConfigOption* Find(std::string_view name) const;
  void Assign(const std::string& name, const nlohmann::ordered_json& value,
              const std::string& where);
  void MergeInto(const std::string& prefix, const nlohmann::ordered_json& object,
                 const std::string& where);
  std::string Nearest(std::string_view name) const;

  std::string title_;
  std::vector<ConfigOption> options_;
  std::vector<nlohmann::ordered_json> values_;  // one an option
};

// The least number of single-letter changes between two words (Levenshtein distance).
size_t EditDistance(std::string_view a, std::string_view b);

}  // namespace extrospect
