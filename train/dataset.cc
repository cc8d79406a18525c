#include "train/dataset.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/random.h"
#include "model/index_tensor.h"

namespace extrospect {
namespace {

using nlohmann::json;

constexpr size_t kNamedAtMost = 5;

std::string TextOf(const json& object, const char* field, const std::string& where) {
  const auto found = object.find(field);
  if (found == object.end() || found->is_null()) return "";
  if (!found->is_string()) {
    throw Error("cannot read a label").At(where + ", " + field).Expected("a text");
  }
  return found->get<std::string>();
}

// Labels as they stand in a transcript's line or in a targets file.
struct RawLabels {
  std::vector<std::string> emotions;
  std::string holder, description, split, hard, situation;
  int64_t intensity = 0;
};

RawLabels ParseLabels(const json& object, const std::string& where) {
  RawLabels labels;
  const std::string emotion = TextOf(object, "emotion", where);
  if (!emotion.empty()) labels.emotions.push_back(emotion);
  if (const auto list = object.find("emotions"); list != object.end() && list->is_array()) {
    for (const json& item : *list) {
      if (!item.is_string()) {
        throw Error("cannot read a label").At(where + ", emotions").Expected("a list of texts");
      }
      const auto text = item.get<std::string>();
      auto& emotions = labels.emotions;
      if (std::find(emotions.begin(), emotions.end(), text) == emotions.end()) {
        emotions.push_back(text);
      }
    }
  }
  labels.holder = TextOf(object, "holder", where);
  labels.description = TextOf(object, "description", where);
  labels.split = TextOf(object, "split", where);
  labels.hard = TextOf(object, "hard", where);
  labels.situation = TextOf(object, "situation", where);
  if (const auto found = object.find("intensity"); found != object.end() && !found->is_null()) {
    if (!found->is_number_integer() || *found < 1 || *found > 5) {
      throw Error("cannot read a label").At(where + ", intensity").Expected("1 to 5");
    }
    labels.intensity = found->get<int64_t>();
  }
  return labels;
}

// A targets file by id.
std::unordered_map<std::string, RawLabels> ReadTargets(const std::filesystem::path& path) {
  std::unordered_map<std::string, RawLabels> targets;
  const std::string text = ReadFile(path);
  size_t begin = 0;
  for (int64_t line = 1; begin < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view row(text.data() + begin, end - begin);
    begin = end + 1;
    if (row.find_first_not_of(" \t\r") == row.npos) continue;
    const std::string where = path.string() + ", line " + std::to_string(line);
    const json object = json::parse(row, nullptr, /*allow_exceptions=*/false);
    if (!object.is_object()) throw Error("cannot read a target").At(where).Expected("JSON object");
    const std::string id = TextOf(object, "id", where);
    if (id.empty()) throw Error("a target has no id").At(where);
    if (!targets.emplace(id, ParseLabels(object, where)).second) {
      throw Error("an id has two targets").At(where).Found(id);
    }
  }
  return targets;
}

// The classes are the labels, in alphabetical order; values of words that are known are kept.
Lexicon LexiconOfLabels(const std::set<std::string>& labels, bool& has_affect) {
  const Lexicon known = Lexicon::BuiltIn();
  std::vector<Emotion> emotions;
  for (const std::string& label : labels) {
    const int64_t index = known.Find(label);
    has_affect = has_affect && index >= 0;
    emotions.push_back(index >= 0 ? known[index] : Emotion{label, "", 0.0, 0.0, {}});
  }
  return Lexicon(std::move(emotions));
}

}  // namespace

LabelledTranscripts::LabelledTranscripts(const ActivationReader& reader,
                                         const LabelOptions& options)
    : reader_(&reader) {
  const std::string path = reader.path().string();
  std::unordered_map<std::string, RawLabels> targets;
  if (!options.targets.empty()) targets = ReadTargets(options.targets);

  const auto& transcripts = reader.layout().transcripts;
  std::vector<RawLabels> raw;
  std::set<std::string> words;
  size_t found_targets = 0;
  for (size_t i = 0; i < transcripts.size(); ++i) {
    if (options.limit >= 0 && static_cast<int64_t>(i) >= options.limit) break;
    const std::string where = path + ", transcript " + transcripts[i].id;
    RawLabels labels;
    if (options.targets.empty()) {
      const json object = json::parse(transcripts[i].json, nullptr, /*allow_exceptions=*/false);
      if (!object.is_object()) throw Error("a transcript's line is not JSON").At(where);
      labels = ParseLabels(object, where);
    } else if (const auto target = targets.find(transcripts[i].id); target != targets.end()) {
      labels = target->second;
      ++found_targets;
    }
    if (labels.emotions.empty()) continue;
    words.insert(labels.emotions.begin(), labels.emotions.end());
    Example example;
    example.id = transcripts[i].id;
    example.holder = labels.holder;
    example.description = labels.description;
    example.split = labels.split;
    example.hard = labels.hard;
    example.situation = labels.situation.empty() ? example.id : labels.situation;
    example.intensity = labels.intensity;
    example.transcript = static_cast<uint32_t>(i);
    examples_.push_back(std::move(example));
    raw.push_back(std::move(labels));
  }
  if (examples_.empty()) {
    throw Error("no transcript has a label")
        .At(options.targets.empty() ? path : options.targets.string())
        .Expected("a field \"emotion\"")
        .Hint("transcripts carry labels themselves, or --targets gives them by id");
  }
  if (found_targets < targets.size() && options.limit < 0) {
    throw Error("targets name transcripts that the activation file does not hold")
        .At(options.targets.string())
        .Expected(std::to_string(targets.size()) + " transcripts in " + path)
        .Found(std::to_string(found_targets));
  }

  lexicon_ = options.lexicon == "builtin"  ? Lexicon::BuiltIn()
             : options.lexicon == "labels" ? LexiconOfLabels(words, has_affect_)
                                           : Lexicon::Read(options.lexicon);
  std::string unknown;
  size_t n_unknown = 0;
  for (const std::string& word : words) {
    if (lexicon_.Find(word) >= 0) continue;
    if (n_unknown++ < kNamedAtMost) unknown += (unknown.empty() ? "" : ", ") + word;
  }
  if (n_unknown > 0) {
    throw Error("labels are not in the lexicon")
        .At(options.targets.empty() ? path : options.targets.string())
        .Found(unknown + (n_unknown > kNamedAtMost
                              ? " and " + std::to_string(n_unknown - kNamedAtMost) + " more"
                              : ""))
        .Hint("--set lexicon=labels makes the classes from the labels");
  }
  for (size_t i = 0; i < examples_.size(); ++i) {
    for (const std::string& word : raw[i].emotions) {
      examples_[i].classes.push_back(lexicon_.Find(word));
    }
  }
  AssignSplits();
}

void LabelledTranscripts::AssignSplits() {
  static const std::set<std::string> kNames = {"train", "dev", "test", "unseen"};
  std::map<std::string, int64_t> counts;
  bool any = false;
  for (const Example& example : examples_) any = any || !example.split.empty();
  if (!any) {
    note_ = "no splits given: 80/10/10 by a hash of situation or id";
    for (Example& example : examples_) {
      const uint64_t tenth = RandomStream(0, "split/" + example.situation).Below(10);
      example.split = tenth < 8 ? "train" : tenth == 8 ? "dev" : "test";
    }
  }
  for (Example& example : examples_) {
    if (example.split == "validation" || example.split == "valid") example.split = "dev";
    if (!kNames.contains(example.split)) {
      throw Error("unknown split")
          .At(reader_->path().string() + ", transcript " + example.id)
          .Expected("train, dev, test or unseen")
          .Found("\"" + example.split + "\"");
    }
    ++counts[example.split];
  }
  for (const char* const name : {"train", "dev"}) {
    if (counts[name] > 0) continue;
    throw Error(std::string("no transcript is in the ") + name + " split")
        .At(reader_->path().string())
        .Found(std::to_string(examples_.size()) + " labelled transcripts");
  }
}

std::string LabelledTranscripts::Sha256() const {
  // The activations themselves follow from their origin and the transcripts.
  const ActivationOrigin& origin = reader_->origin();
  extrospect::Sha256 hash;
  hash.Add(json{origin.model_sha256, origin.tokenizer_sha256, origin.chat_template_sha256,
                origin.compute_dtype, origin.config}
               .dump());
  for (const Example& example : examples_) {
    hash.Add(reader_->layout().transcripts[example.transcript].json + "\n");
    hash.Add(
        json{example.id, example.holder, example.description, example.split, example.classes}.dump(
            -1, ' ', false, json::error_handler_t::replace));
  }
  hash.Add(lexicon_.Serialize());
  return hash.HexDigest();
}

at::Tensor RowSet::Indices(const std::string& name) const {
  const auto found = split.find(name);
  return IndexTensor(found == split.end() ? std::vector<int64_t>() : found->second, at::kCPU);
}

RowSet LoadRowSet(const ActivationReader& reader, const LabelledTranscripts& transcripts,
                  const std::vector<std::string>& hooks, const std::string& selection,
                  const std::string& pool, at::Device device) {
  for (const std::string& hook : hooks) {
    if (!reader.HasHook(hook)) {
      std::string list;
      for (const std::string& name : reader.hooks()) list += (list.empty() ? "" : ", ") + name;
      throw Error("the activation file does not hold a hook that is asked for")
          .At(reader.path().string())
          .Expected(hook)
          .Found(list);
    }
  }
  const auto& examples = transcripts.examples();
  std::vector<int64_t> example_of(reader.layout().transcripts.size(), -1);
  for (size_t i = 0; i < examples.size(); ++i) {
    example_of[examples[i].transcript] = static_cast<int64_t>(i);
  }
  RowPlan plan = PlanRows(reader, selection, pool);
  std::erase_if(plan.rows, [&](const RowPlan::Row& row) { return example_of[row.transcript] < 0; });

  RowSet set;
  const auto n = static_cast<int64_t>(plan.rows.size());
  const int64_t classes = transcripts.lexicon().size();
  set.label = at::zeros({n}, at::TensorOptions(at::kLong).device(at::kCPU));
  set.targets = at::zeros({n, classes}, at::TensorOptions(at::kFloat).device(at::kCPU));
  for (int64_t i = 0; i < n; ++i) {
    const int64_t index = example_of[plan.rows[i].transcript];
    const Example& example = examples[index];
    set.example.push_back(index);
    set.label.data_ptr<int64_t>()[i] = example.classes.front();
    for (const int64_t word : example.classes) {
      set.targets.data_ptr<float>()[i * classes + word] =
          1.0f / static_cast<float>(example.classes.size());
    }
    set.split[example.split].push_back(i);
  }
  set.rows = LoadRows(reader, plan, hooks).to(device);
  set.label = set.label.to(device);
  set.targets = set.targets.to(device);
  return set;
}

}  // namespace extrospect
