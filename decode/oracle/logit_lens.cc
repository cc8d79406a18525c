#include "decode/oracle/logit_lens.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "decode/oracle/oracle_prompt.h"
#include "decode/probe.h"
#include "model/weights/weight_file.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;

// Rows whose logits are in memory together: at a vocabulary of 260,000, 130 MB.
constexpr int64_t kRowsAtOnce = 128;

at::Device HeadDevice(const LanguageModel& model) {
  return model.transformer->weights().blocks.back().device;
}

// The token with which " word" begins, where that says something: vocabularies without tokens that
// begin with a space split the space off.
int32_t FirstToken(const Tokenizer& tokenizer, const std::string& word) {
  const std::vector<int32_t> ids = tokenizer.Encode(" " + word, /*parse_special=*/false).ids;
  for (const int32_t id : ids) {
    const std::string bytes = tokenizer.TokenBytes(id);
    if (bytes.find_first_not_of(' ') != bytes.npos && bytes != "\xE2\x96\x81") return id;
  }
  throw Error("a word of the lexicon has no token in this model").At("'" + word + "'");
}

std::vector<int32_t> FirstTokens(const Tokenizer& tokenizer, const Lexicon& lexicon) {
  std::vector<int32_t> tokens;
  for (const std::string& word : SpokenWords(lexicon)) {
    tokens.push_back(FirstToken(tokenizer, word));
  }
  return tokens;
}

}  // namespace

LogitLens::LogitLens(DecoderInfo info, LogitLensSpec spec, LogitLensWeights weights,
                     std::shared_ptr<const LanguageModel> model)
    : Decoder(std::move(info)),
      spec_(spec),
      weights_(std::move(weights)),
      model_(std::move(model)),
      first_tokens_(*model_->transformer, FirstTokens(*model_->tokenizer, this->info().lexicon)) {}

std::unique_ptr<LogitLens> LogitLens::Load(const DecoderFile& file,
                                           const std::filesystem::path& folder,
                                           std::shared_ptr<const LanguageModel> model) {
  CheckModel(file.info, folder, model.get());
  const auto flag = [&](const char* name) {
    const auto found = file.body.find(name);
    if (found == file.body.end() || !found->is_boolean()) {
      throw Error("a field of the decoder is wrong")
          .At((folder / "decoder.json").string() + ", " + kLogitLensKind + "." + name)
          .Expected("true or false");
    }
    return found->get<bool>();
  };
  const SafetensorsFile tensors(folder / "weights.safetensors");
  const at::Device device = HeadDevice(*model);
  LogitLensWeights weights;
  weights.mean = LoadTensor(
      tensors, "mean", {static_cast<int64_t>(file.info.hooks.size()), file.info.d_model}, device);
  weights.prior = LoadTensor(tensors, "prior", {file.info.lexicon.size()}, device);
  const LogitLensSpec spec = {flag("centre"), flag("minus_prior")};
  return std::make_unique<LogitLens>(file.info, spec, std::move(weights), std::move(model));
}

ordered_json LogitLens::Save(const std::filesystem::path& folder, const LogitLensSpec& spec,
                             const LogitLensWeights& weights) {
  SaveTensors(folder / "weights.safetensors", {{"mean", weights.mean}, {"prior", weights.prior}});
  return {{"score", "log p of the first token of \" word\", mean over hooks"},
          {"normalisation", spec.centre ? "centre" : "none"},
          {"centre", spec.centre},
          {"minus_prior", spec.minus_prior}};
}

at::Tensor LogitLens::WordScores(const at::Tensor& rows) const {
  const c10::InferenceMode inference;
  std::vector<at::Tensor> parts;
  for (int64_t first = 0; first < rows.size(0); first += kRowsAtOnce) {
    const int64_t n = std::min(kRowsAtOnce, rows.size(0) - first);
    at::Tensor some = rows.narrow(0, first, n).to(HeadDevice(*model_));
    if (spec_.centre) some = some - weights_.mean;
    at::Tensor sum;
    for (int64_t hook = 0; hook < some.size(1); ++hook) {
      const at::Tensor log_p = first_tokens_.Log(some.select(1, hook).contiguous());
      sum = sum.defined() ? sum + log_p : log_p;
    }
    parts.push_back(sum / static_cast<double>(some.size(1)));
  }
  at::Tensor scores = parts.empty()
                          ? at::empty({0, info().lexicon.size()}, weights_.prior.options())
                          : at::cat(parts);
  return spec_.minus_prior ? scores - weights_.prior : scores;
}

Scores LogitLens::ReadRows(const at::Tensor& rows, const std::vector<std::string>&) const {
  return ScoresOf(info(), WordScores(rows), {});
}

std::vector<std::string> LogitLens::SentencesOf(const at::Tensor&, const Scores& scores,
                                                const std::vector<std::string>& holders) const {
  return TemplateSentences(info(), scores, holders);
}

}  // namespace extrospect
