#include "base/config.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <stdexcept>
#include <utility>

#include "base/bounded_json.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;

constexpr size_t kMaxConfigBytes = size_t{16} << 20;

const char* KindName(const ordered_json& value) {
  if (value.is_number_integer()) return "an integer";
  if (value.is_number()) return "a number";
  if (value.is_boolean()) return "true or false";
  if (value.is_string()) return "a text";
  if (value.is_array()) return "a list";
  return value.is_object() ? "an object" : "null";
}

bool AllTexts(const ordered_json& list) {
  return std::all_of(list.begin(), list.end(), [](const auto& item) { return item.is_string(); });
}

// Whether `value` is of the option's type.
bool Fits(const ConfigOption& option, const ordered_json& value) {
  const ordered_json& like = option.value;
  if (value.is_null()) return option.or_null;
  if (value.is_array() && option.or_list) return AllTexts(value);
  if (like.is_number_integer()) return value.is_number_integer();
  if (like.is_number()) return value.is_number();
  if (like.is_boolean()) return value.is_boolean();
  if (like.is_string()) return value.is_string();
  if (like.is_array()) {
    // A list that has a default element takes elements of its kind.
    if (!value.is_array() || like.empty()) return value.is_array();
    const bool numbers = like.front().is_number();
    return std::all_of(value.begin(), value.end(), [&](const auto& item) {
      return numbers ? item.is_number() : item.is_string() == like.front().is_string();
    });
  }
  return like.is_object() ? value.is_object() : true;
}

std::string Expectation(const ConfigOption& option) {
  std::string text = KindName(option.value);
  if (option.or_list) text += " or a list of texts";
  if (option.or_null) text += " or null";
  return text;
}

std::string NumberText(double value) { return ordered_json(value).dump(); }

void CheckRange(const ConfigOption& option, const ordered_json& value, const std::string& where) {
  const auto check = [&](const ordered_json& item) {
    if (!item.is_number()) return;
    const double x = item.get<double>();
    if (x >= option.min && x <= option.max) return;
    throw UsageError("the configuration value of " + option.name + " is out of range")
        .At(where)
        .Expected("from " + NumberText(option.min) + " to " + NumberText(option.max))
        .Found(item.dump());
  };
  const auto check_choice = [&](const ordered_json& item) {
    const auto& choices = option.choices;
    if (!item.is_string() || choices.empty() ||
        std::find(choices.begin(), choices.end(), item.get<std::string>()) != choices.end()) {
      return;
    }
    throw UsageError("the configuration value of " + option.name + " is not one of its choices")
        .At(where)
        .Expected(Join(choices))
        .Found(item.dump());
  };
  check(value);
  check_choice(value);
  if (value.is_array()) {
    for (const auto& item : value) {
      check(item);
      check_choice(item);
    }
  }
}

ordered_json* Descend(ordered_json& root, std::string_view name) {
  ordered_json* node = &root;
  while (true) {
    const size_t dot = name.find('.');
    node = &(*node)[std::string(name.substr(0, dot))];
    if (dot == name.npos) return node;
    name.remove_prefix(dot + 1);
  }
}

}  // namespace

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

Config::Config(std::string title, std::vector<ConfigOption> options)
    : title_(std::move(title)), options_(std::move(options)) {
  std::set<std::string> names;
  for (const ConfigOption& option : options_) {
    if (!names.insert(option.name).second) {
      throw std::logic_error("configuration option declared twice: " + option.name);
    }
    values_.push_back(option.value);
  }
}

const ConfigOption* Config::Find(std::string_view name) const {
  const auto found = std::find_if(options_.begin(), options_.end(),
                                  [&](const ConfigOption& option) { return option.name == name; });
  return found == options_.end() ? nullptr : &*found;
}

std::string Config::Nearest(std::string_view name) const {
  // A wrong key may be right but for its group, so that the last part is compared too.
  const auto last = [](std::string_view text) { return text.substr(text.rfind('.') + 1); };
  std::string nearest;
  size_t best = std::string::npos;
  for (const ConfigOption& option : options_) {
    const size_t distance =
        std::min(EditDistance(name, option.name), EditDistance(last(name), last(option.name)) + 1);
    if (distance < best) {
      best = distance;
      nearest = option.name;
    }
  }
  return nearest;
}

void Config::Assign(const std::string& name, const ordered_json& value, const std::string& where) {
  const ConfigOption* const option = Find(name);
  if (option == nullptr) {
    throw UsageError("unknown configuration key " + name)
        .At(where)
        .Hint("the nearest known key is " + Nearest(name) + "; --dump-config lists all keys of " +
              title_);
  }
  if (!Fits(*option, value)) {
    throw UsageError("the configuration value of " + name + " has a wrong type")
        .At(where)
        .Expected(Expectation(*option))
        .Found(value.dump());
  }
  CheckRange(*option, value, where);
  values_[option - options_.data()] = value;
}

void Config::MergeInto(const std::string& prefix, const ordered_json& object,
                       const std::string& where) {
  for (const auto& [key, value] : object.items()) {
    if (key.starts_with("//")) continue;
    const std::string name = prefix + key;
    if (value.is_object() && Find(name) == nullptr) {
      const bool group = std::any_of(options_.begin(), options_.end(), [&](const auto& option) {
        return option.name.starts_with(name + ".");
      });
      if (group) {
        MergeInto(name + ".", value, where);
        continue;
      }
    }
    Assign(name, value, where);
  }
}

void Config::Merge(const ordered_json& object, const std::string& where) {
  if (!object.is_object()) {
    throw UsageError("a configuration must be a JSON object").At(where).Found(KindName(object));
  }
  MergeInto("", object, where);
}

void Config::MergeFile(const std::filesystem::path& path) {
  const std::string text = ReadFile(path, kMaxConfigBytes);
  ordered_json object;
  try {
    object = ParseBoundedJson<ordered_json>(text, path.string(), /*ignore_comments=*/true);
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
  Merge(object, path.string());
}

void Config::Set(std::string_view assignment) {
  const size_t equals = assignment.find('=');
  if (equals == assignment.npos || equals == 0) {
    throw UsageError("cannot read --set").Expected("KEY=VALUE").Found(std::string(assignment));
  }
  const std::string name(assignment.substr(0, equals));
  const std::string text(assignment.substr(equals + 1));
  ordered_json value = ordered_json::value_t::discarded;
  try {
    value = ParseBoundedJson<ordered_json>(text, "--set " + name);
  } catch (const Error&) {
    // Not JSON: a text.
  }
  const ConfigOption* const option = Find(name);
  // "--set selection=1" means the text "1" where only a text will do.
  if (value.is_discarded() || (option != nullptr && option->value.is_string() &&
                               !value.is_string() && !Fits(*option, value))) {
    value = text;
  }
  if (value.is_object() && option == nullptr) {
    MergeInto(name + ".", value, "--set " + std::string(assignment));
    return;
  }
  Assign(name, value, "--set " + std::string(assignment));
}

const ordered_json& Config::At(std::string_view name) const {
  const ConfigOption* const option = Find(name);
  if (option == nullptr) {
    throw std::logic_error("configuration option never declared: " + std::string(name));
  }
  return values_[option - options_.data()];
}

std::vector<std::string> Config::TextList(std::string_view name) const {
  const ordered_json& value = At(name);
  if (value.is_null()) return {};
  if (value.is_string()) return {value.get<std::string>()};
  return value.get<std::vector<std::string>>();
}

std::vector<double> Config::NumberList(std::string_view name) const {
  const ordered_json& value = At(name);
  if (value.is_null()) return {};
  if (value.is_number()) return {value.get<double>()};
  return value.get<std::vector<double>>();
}

ordered_json Config::Resolved() const {
  ordered_json root = ordered_json::object();
  for (size_t i = 0; i < options_.size(); ++i) *Descend(root, options_[i].name) = values_[i];
  return root;
}

std::string Config::Dump() const {
  const auto group_of = [](const ConfigOption& option) {
    const size_t dot = option.name.find('.');
    return dot == std::string::npos ? std::string() : option.name.substr(0, dot);
  };
  const auto line = [&](size_t i, const std::string& indent) {
    const std::string group = group_of(options_[i]);
    const std::string key = options_[i].name.substr(group.empty() ? 0 : group.size() + 1);
    return indent + "// " + options_[i].help + "\n" + indent + ordered_json(key).dump() + ": " +
           values_[i].dump();
  };
  const auto join = [](const std::vector<std::string>& parts, const std::string& indent) {
    std::string text = "{\n";
    for (size_t i = 0; i < parts.size(); ++i) {
      text += parts[i] + (i + 1 < parts.size() ? ",\n" : "\n");
    }
    return text + indent + "}";
  };
  // A group is written where its first option stands.
  std::vector<std::string> parts;
  std::set<std::string> groups_done;
  for (size_t i = 0; i < options_.size(); ++i) {
    const std::string group = group_of(options_[i]);
    if (group.empty()) {
      parts.push_back(line(i, "  "));
    } else if (groups_done.insert(group).second) {
      std::vector<std::string> members;
      for (size_t j = i; j < options_.size(); ++j) {
        if (group_of(options_[j]) == group) members.push_back(line(j, "    "));
      }
      parts.push_back("  " + ordered_json(group).dump() + ": " + join(members, "  "));
    }
  }
  return join(parts, "") + "\n";
}

}  // namespace extrospect
