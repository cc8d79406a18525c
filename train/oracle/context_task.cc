#include "train/oracle/context_task.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <unordered_map>

#include "base/bounded_json.h"
#include "base/error.h"
#include "base/hash.h"
#include "records/labels.h"

namespace extrospect {
namespace {

constexpr const char* kBefore[] = {"What was written right before this?",
                                   "Which words come just before?"};
constexpr const char* kAfter[] = {"What comes right after this?", "Which words follow?"};
constexpr int kAttempts = 100;  // to find a place whose neighbours are text

std::string SplitOf(const ActivationLayout::TranscriptRows& transcript, const std::string& path) {
  const std::string where = path + ", transcript " + transcript.id;
  const auto line = ParseBoundedJson(transcript.json, where);
  const Labels labels = line.is_object() ? ParseLabels(line, where) : Labels();
  if (!labels.split.empty()) return labels.split;
  return SplitByHash(transcript.id, labels);
}

}  // namespace

ContextTask::ContextTask(const std::filesystem::path& path, const DecoderInfo& info,
                         const LabelledTranscripts& labelled, const LanguageModel& model,
                         int64_t max_tokens)
    : reader_(path), hooks_(info.hooks), model_(model), max_tokens_(max_tokens) {
  CheckFits(info, reader_.origin(), reader_.hooks(), path.string());
  const ActivationLayout& layout = reader_.layout();
  if (!layout.first_position.empty() || !layout.selection.empty()) {
    throw Error("context prediction needs the activations of single tokens")
        .At(path.string())
        .Hint("extract with --tokens all --pool none");
  }
  std::unordered_map<std::string, std::string> splits;
  for (const Example& example : labelled.examples()) splits.emplace(example.id, example.split);
  for (const auto& transcript : layout.transcripts) {
    const auto known = splits.find(transcript.id);
    const std::string split =
        known != splits.end() ? known->second : SplitOf(transcript, path.string());
    std::vector<uint64_t>* const rows = split == "train" ? &train_
                                        : split == "dev" ? &dev_
                                                         : nullptr;
    if (rows == nullptr) continue;
    for (uint64_t row = transcript.first_row; row < transcript.first_row + transcript.n_rows;
         ++row) {
      rows->push_back(row);
    }
  }
  if (train_.empty() || dev_.empty()) {
    throw Error("context prediction needs transcripts of the splits train and dev")
        .At(path.string())
        .Found(std::to_string(train_.size()) + " tokens of train, " + std::to_string(dev_.size()) +
               " of dev")
        .Hint("give the transcripts a \"split\", or take more of them");
  }
}

std::string ContextTask::TextOf(uint64_t first_row, int64_t count) const {
  const std::span<const int32_t> ids(reader_.layout().token_id);
  for (const int32_t id : ids.subspan(first_row, static_cast<size_t>(count))) {
    if (model_.tokenizer->is_special(id)) return "";
  }
  std::string text = model_.tokenizer->Decode(ids.subspan(first_row, static_cast<size_t>(count)),
                                              /*skip_special=*/true);
  const size_t begin = text.find_first_not_of(" \n\t"), end = text.find_last_not_of(" \n\t");
  return begin == text.npos ? "" : text.substr(begin, end - begin + 1);
}

ContextExample ContextTask::Draw(bool held_out, RandomStream& random) const {
  const ActivationLayout& layout = reader_.layout();
  const std::vector<uint64_t>& rows = held_out ? dev_ : train_;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const uint64_t row = rows[random.Below(rows.size())];
    const bool after = random.Below(2) == 1;
    const auto count = static_cast<int64_t>(1 + random.Below(static_cast<uint64_t>(max_tokens_)));
    const auto& transcript = layout.transcripts[layout.transcript[row]];
    const auto index = static_cast<int64_t>(row - transcript.first_row);
    const int64_t first = after ? index + 1 : index - count;
    if (first < 0 || first + count > static_cast<int64_t>(transcript.n_rows)) continue;
    // Where tokens in between were not extracted, the next row is not the next token.
    const int64_t last = after ? first + count - 1 : index;
    const auto* const positions = layout.position.data() + transcript.first_row;
    if (positions[last] - positions[std::min(first, index)] != last - std::min(first, index)) {
      continue;
    }
    const std::string text = TextOf(transcript.first_row + static_cast<uint64_t>(first), count);
    if (text.empty()) continue;
    ContextExample example;
    const size_t wording = random.Below(2);
    example.question = {after ? kAfter[wording] : kBefore[wording], text, false};
    const int64_t d_model = reader_.origin().d_model;
    example.row = at::empty({static_cast<int64_t>(hooks_.size()), d_model},
                            at::TensorOptions(at::kFloat).device(at::kCPU));
    for (size_t hook = 0; hook < hooks_.size(); ++hook) {
      float* const to =
          example.row.mutable_data_ptr<float>() + static_cast<int64_t>(hook) * d_model;
      reader_.Read(hooks_[hook], row, 1, std::span<float>(to, static_cast<size_t>(d_model)));
    }
    return example;
  }
  throw Error("no place with text around it was found for context prediction")
      .At(reader_.path().string());
}

std::string ContextTask::Fingerprint() const {
  const ActivationOrigin& origin = reader_.origin();
  Sha256 hash;
  hash.Add(origin.model_sha256 + origin.config);
  for (const auto& transcript : reader_.layout().transcripts) hash.Add(transcript.json + "\n");
  const auto& ids = reader_.layout().token_id;
  hash.Add(std::string_view(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof ids[0]));
  return hash.HexDigest();
}

}  // namespace extrospect
