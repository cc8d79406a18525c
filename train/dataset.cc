#include "train/dataset.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>

#include "base/bounded_json.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "model/index_tensor.h"
#include "records/labels.h"

namespace extrospect {
namespace {

using nlohmann::json;

constexpr size_t kNamedAtMost = 5;

// The situation that a transcript's own line names, if it can be read.
std::string SituationOf(const std::string& line) {
  const json object = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return "";
  const auto found = object.find("situation");
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// A targets file by id.
std::unordered_map<std::string, Labels> ReadTargets(const std::filesystem::path& path) {
  std::unordered_map<std::string, Labels> targets;
  const std::string text = ReadFile(path);
  size_t begin = 0;
  for (int64_t line = 1; begin < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view row(text.data() + begin, end - begin);
    begin = end + 1;
    if (row.find_first_not_of(" \t\r") == row.npos) continue;
    const std::string where = path.string() + ", line " + std::to_string(line);
    const json object = ParseBoundedJson(row, where);
    if (!object.is_object()) throw Error("cannot read a target").At(where).Expected("JSON object");
    const auto named = object.find("id");
    const std::string id =
        named != object.end() && named->is_string() ? named->get<std::string>() : "";
    if (id.empty()) throw Error("a target has no id").At(where).Expected("a string \"id\"");
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

void CheckWords(const Lexicon& lexicon, const std::set<std::string>& words,
                const std::string& where) {
  std::string unknown;
  size_t n_unknown = 0;
  for (const std::string& word : words) {
    if (lexicon.Find(word) >= 0) continue;
    if (n_unknown++ < kNamedAtMost) unknown += (unknown.empty() ? "" : ", ") + word;
  }
  if (n_unknown == 0) return;
  if (n_unknown > kNamedAtMost) {
    unknown += " and " + std::to_string(n_unknown - kNamedAtMost) + " more";
  }
  throw Error("labels are not in the lexicon")
      .At(where)
      .Found(unknown)
      .Hint("--set lexicon=labels makes the classes from the labels");
}

}  // namespace

LabelledTranscripts::LabelledTranscripts(const ActivationReader& reader,
                                         const LabelOptions& options)
    : reader_(&reader) {
  const std::string path = reader.path().string();
  std::unordered_map<std::string, Labels> targets;
  if (!options.targets.empty()) targets = ReadTargets(options.targets);

  const auto& transcripts = reader.layout().transcripts;
  std::vector<Labels> raw;
  std::vector<uint32_t> places;
  std::set<std::string> words;
  size_t found_targets = 0;
  for (size_t i = 0; i < transcripts.size(); ++i) {
    if (options.limit >= 0 && static_cast<int64_t>(i) >= options.limit) break;
    const std::string where = path + ", transcript " + transcripts[i].id;
    Labels labels;
    if (options.targets.empty()) {
      const json object = ParseBoundedJson(transcripts[i].json, where);
      if (!object.is_object()) throw Error("a transcript's line is not JSON").At(where);
      labels = ParseLabels(object, where);
    } else if (const auto target = targets.find(transcripts[i].id); target != targets.end()) {
      labels = target->second;
      if (labels.situation.empty()) labels.situation = SituationOf(transcripts[i].json);
      ++found_targets;
    }
    if (labels.emotions.empty()) continue;
    words.insert(labels.emotions.begin(), labels.emotions.end());
    raw.push_back(std::move(labels));
    places.push_back(static_cast<uint32_t>(i));
  }
  if (raw.empty()) {
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
  CheckWords(lexicon_, words, options.targets.empty() ? path : options.targets.string());
  std::vector<SplitEntry> entries;
  for (size_t i = 0; i < raw.size(); ++i) entries.push_back({transcripts[places[i]].id, &raw[i]});
  note_ = AssignSplits(entries, path);
  std::map<std::string, int64_t> counts;
  for (size_t i = 0; i < raw.size(); ++i) {
    const Labels& labels = raw[i];
    if (labels.split.empty()) {
      throw Error("a labelled transcript has no split, and others have one")
          .At(path + ", transcript " + entries[i].id)
          .Expected("\"split\": train, dev, test or unseen");
    }
    Example example;
    example.id = entries[i].id;
    example.holder = labels.holder;
    example.description = labels.description;
    example.split = labels.split;
    example.situation = labels.situation.empty() ? example.id : labels.situation;
    example.intensity = labels.intensity.value_or(0);
    for (const std::string& word : labels.emotions) {
      example.classes.push_back(lexicon_.Find(word));
    }
    example.transcript = places[i];
    ++counts[example.split];
    examples_.push_back(std::move(example));
  }
  for (const char* const name : {"train", "dev"}) {
    if (counts[name] > 0) continue;
    throw Error(std::string("no transcript is in the ") + name + " split")
        .At(path)
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
    hash.Add(json{example.id, example.holder, example.description, example.split, example.situation,
                  example.intensity, example.classes}
                 .dump(-1, ' ', false, json::error_handler_t::replace));
  }
  hash.Add(lexicon_.Serialize());
  return hash.HexDigest();
}

at::Tensor RowSet::Indices(const std::string& name) const {
  const auto found = split.find(name);
  return IndexTensor(found == split.end() ? std::vector<int64_t>() : found->second, at::kCPU);
}

RowPlan PlanLabelledRows(const ActivationReader& reader, const LabelledTranscripts& transcripts,
                         const RowSource& source, std::vector<int64_t>& example_of_row) {
  for (const std::string& hook : source.hooks) {
    if (reader.HasHook(hook)) continue;
    throw Error("the activation file does not hold a hook that is asked for")
        .At(reader.path().string())
        .Expected(hook)
        .Found(Join(reader.hooks()));
  }
  const auto& examples = transcripts.examples();
  std::vector<int64_t> example_of(reader.layout().transcripts.size(), -1);
  for (size_t i = 0; i < examples.size(); ++i) {
    example_of[examples[i].transcript] = static_cast<int64_t>(i);
  }
  RowPlan plan = PlanRows(reader, source.selection, source.pool);
  std::erase_if(plan.rows, [&](const RowPlan::Row& row) { return example_of[row.transcript] < 0; });
  example_of_row.clear();
  for (const RowPlan::Row& row : plan.rows) example_of_row.push_back(example_of[row.transcript]);
  return plan;
}

RowSet LoadRowSet(const ActivationReader& reader, const LabelledTranscripts& transcripts,
                  const RowSource& source, at::Device device) {
  RowSet set;
  const RowPlan plan = PlanLabelledRows(reader, transcripts, source, set.example);
  const auto n = static_cast<int64_t>(plan.rows.size());
  const int64_t classes = transcripts.lexicon().size();
  set.label = at::zeros({n}, at::TensorOptions(at::kLong).device(at::kCPU));
  set.targets = at::zeros({n, classes}, at::TensorOptions(at::kFloat).device(at::kCPU));
  for (int64_t i = 0; i < n; ++i) {
    const Example& example = transcripts.examples()[set.example[i]];
    set.label.data_ptr<int64_t>()[i] = example.classes.front();
    for (const int64_t word : example.classes) {
      set.targets.data_ptr<float>()[i * classes + word] =
          1.0f / static_cast<float>(example.classes.size());
    }
    set.split[example.split].push_back(i);
  }
  set.rows = LoadRows(reader, plan, source.hooks, source.token_pool).to(device);
  set.label = set.label.to(device);
  set.targets = set.targets.to(device);
  return set;
}

}  // namespace extrospect
