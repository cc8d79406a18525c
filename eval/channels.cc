#include "eval/channels.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "base/error.h"
#include "base/random.h"
#include "base/text.h"
#include "decode/load.h"
#include "model/hooks.h"
#include "model/index_tensor.h"

namespace extrospect {
namespace {

constexpr double kDevFalseAlarms = 0.05;
constexpr int64_t kCostlyControls = 300;  // trials

// For every record the index of another one of its dose with another concept; its own where there
// is none.
std::vector<int64_t> ShuffledPartners(const std::vector<TrialRecord>& records, uint64_t seed,
                                      const std::string& stream) {
  std::map<std::string, std::vector<int64_t>> by_dose;
  for (size_t i = 0; i < records.size(); ++i) {
    by_dose[records[i].trial.dose_level].push_back(static_cast<int64_t>(i));
  }
  std::vector<int64_t> partners;
  RandomStream random(seed, stream + "/shuffled");
  for (size_t i = 0; i < records.size(); ++i) {
    const std::vector<int64_t>& pool = by_dose[records[i].trial.dose_level];
    int64_t partner = static_cast<int64_t>(i);
    for (int attempt = 0; attempt < 50; ++attempt) {
      const int64_t candidate = pool[random.Below(pool.size())];
      if (records[candidate].trial.concept_word == records[i].trial.concept_word) continue;
      partner = candidate;
      break;
    }
    partners.push_back(partner);
  }
  return partners;
}

at::Tensor RandomLike(const at::Tensor& rows, uint64_t seed, const std::string& stream) {
  RandomStream random(seed, stream + "/random");
  const at::Tensor noise = at::empty(rows.sizes(), at::TensorOptions(at::kFloat).device(at::kCPU));
  float* const values = noise.mutable_data_ptr<float>();
  for (int64_t i = 0; i < noise.numel(); ++i) values[i] = static_cast<float>(random.Normal());
  return noise / noise.norm(2, {-1}, true).clamp_min(1e-12) * rows.norm(2, {-1}, true);
}

void Fill(const DecoderChannel& channel, const Scores& scores, std::vector<TrialRecord>& records) {
  const DecoderInfo& info = channel.decoder->info();
  const at::Tensor log_p = scores.log_p.to(at::kDouble).contiguous();
  const at::Tensor valence = scores.valence.to(at::kDouble).contiguous();
  const at::Tensor arousal = scores.arousal.to(at::kDouble).contiguous();
  const int64_t classes = log_p.size(1);
  for (size_t i = 0; i < records.size(); ++i) {
    const double* const row = log_p.const_data_ptr<double>() + static_cast<int64_t>(i) * classes;
    FillFromDistribution(info.lexicon, {row, row + classes}, info.abstain_below, records[i]);
    records[i].detected = records[i].detection > channel.detect_above;
    records[i].valence = valence.const_data_ptr<double>()[i];
    records[i].arousal = arousal.const_data_ptr<double>()[i];
  }
}

}  // namespace

std::vector<int64_t> DecoderChannel::blocks() const {
  std::vector<int64_t> blocks;
  for (const std::string& hook : decoder->info().hooks) blocks.push_back(ParseHookName(hook));
  return blocks;
}

std::string DecoderChannel::hooks() const { return Join(decoder->info().hooks, ","); }

std::vector<DecoderChannel> OpenDecoders(const std::vector<std::string>& folders,
                                         const ActivationOrigin& origin,
                                         const std::vector<std::string>& hooks,
                                         const std::string& activation_file, at::Device device,
                                         std::shared_ptr<const LanguageModel> model) {
  std::vector<DecoderChannel> channels;
  std::map<std::string, int> kinds;
  for (const std::string& folder : folders) {
    DecoderChannel channel{"", LoadDecoder(folder, device, model)};
    const DecoderInfo& info = channel.decoder->info();
    CheckFits(info, origin, hooks, activation_file);
    CheckRendering(info, origin, activation_file);
    if (!channels.empty() &&
        info.lexicon.Sha256() != channels.front().decoder->info().lexicon.Sha256()) {
      throw Error("decoders of one report must choose from the same lexicon")
          .At(folder)
          .Expected("the lexicon of " + folders.front())
          .Hint("evaluate them in two runs");
    }
    ++kinds[info.kind];
    channels.push_back(std::move(channel));
  }
  std::map<std::string, int> used;
  for (size_t i = 0; i < channels.size(); ++i) {
    const DecoderInfo& info = channels[i].decoder->info();
    std::string name = info.kind;
    if (kinds[info.kind] > 1) {
      auto path = std::filesystem::path(folders[i]);
      if (path.filename().empty()) path = path.parent_path();
      name = path.filename().string();
    }
    const int count = ++used[name];
    channels[i].name = count > 1 ? name + "-" + std::to_string(count) : name;
  }
  return channels;
}

void CalibrateDetection(DecoderChannel& channel, const at::Tensor& neutral,
                        const std::vector<std::string>& holders) {
  if (neutral.size(0) == 0) return;
  const Scores scores = channel.decoder->Read(neutral, holders);
  const int64_t nothing = channel.decoder->info().lexicon.nothing();
  const at::Tensor found =
      std::get<0>((1.0 - scores.log_p.select(1, nothing).to(at::kDouble).exp()).sort())
          .contiguous();
  const double* const sorted = found.const_data_ptr<double>();
  const auto allowed = static_cast<int64_t>(kDevFalseAlarms * static_cast<double>(found.numel()));
  channel.detect_above = sorted[found.numel() - 1 - allowed];
}

void ReadWithControls(const DecoderChannel& channel, const at::Tensor& rows,
                      std::vector<TrialRecord> records, const std::vector<uint8_t>& wants_sentence,
                      uint64_t seed, const std::string& stream, const RecordSink& sink) {
  if (records.empty()) return;
  std::vector<std::string> holders;
  for (TrialRecord& record : records) {
    record.channel = channel.name;
    record.hook = channel.hooks();
    holders.push_back(record.trial.holder);
  }
  const auto read = [&](const std::string& variant, const at::Tensor& input) {
    for (TrialRecord& record : records) {
      record.variant = variant;
      record.text.clear();
    }
    const Scores scores = channel.decoder->Read(input, holders);
    Fill(channel, scores, records);
    if (variant == "real") {
      std::vector<int64_t> chosen;
      std::vector<std::string> chosen_holders;
      for (size_t i = 0; i < records.size(); ++i) {
        if (!wants_sentence[i]) continue;
        chosen.push_back(static_cast<int64_t>(i));
        chosen_holders.push_back(holders[i]);
      }
      if (!chosen.empty()) {
        const at::Tensor index = IndexTensor(chosen, at::kCPU);
        const Scores part{scores.log_p.index_select(0, index),
                          scores.valence.index_select(0, index),
                          scores.arousal.index_select(0, index)};
        const std::vector<std::string> sentences =
            channel.decoder->Sentences(input.index_select(0, index), part, chosen_holders);
        for (size_t k = 0; k < chosen.size(); ++k) records[chosen[k]].text = sentences[k];
      }
    }
    for (const TrialRecord& record : records) sink(record);
  };
  read("real", rows);
  const std::string name = stream + "/" + channel.name;
  const std::vector<int64_t> partners = ShuffledPartners(records, seed, name);
  const at::Tensor shuffled = rows.index_select(0, IndexTensor(partners, at::kCPU));
  const at::Tensor random = RandomLike(rows, seed, name);
  const auto n = static_cast<int64_t>(records.size());
  if (!channel.decoder->costly() || n <= kCostlyControls) {
    read("zeroed", at::zeros_like(rows));
    read("shuffled", shuffled);
    read("random", random);
    return;
  }
  // What runs the language model for every row gets its controls on a random part of the trials.
  std::vector<int64_t> chosen = RandomStream(seed, name + "/controls").Permutation(n);
  chosen.resize(kCostlyControls);
  std::sort(chosen.begin(), chosen.end());
  std::vector<TrialRecord> some;
  std::vector<std::string> some_holders;
  for (const int64_t i : chosen) {
    some.push_back(std::move(records[static_cast<size_t>(i)]));
    some_holders.push_back(std::move(holders[static_cast<size_t>(i)]));
  }
  records = std::move(some);
  holders = std::move(some_holders);
  const at::Tensor index = IndexTensor(chosen, at::kCPU);
  read("zeroed", at::zeros_like(rows.index_select(0, index)));
  read("shuffled", shuffled.index_select(0, index));
  read("random", random.index_select(0, index));
}

}  // namespace extrospect
