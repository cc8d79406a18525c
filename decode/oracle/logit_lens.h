// The logit lens (nostalgebraist 2020): activations through the model's own final norm and output
// matrix, as if they came out of its last block. Nothing is trained.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "decode/decoder.h"
#include "decode/load.h"
#include "model/forward/token_probabilities.h"
#include "model/model.h"

namespace extrospect {

inline constexpr char kLogitLensKind[] = "logit-lens";

struct LogitLensSpec {
  bool centre = false;       // rows less their mean over the training rows
  bool minus_prior = false;  // scores less their mean over the training rows
};

// All float32, on one device.
struct LogitLensWeights {
  at::Tensor mean;   // [hooks, d_model], of the training rows
  at::Tensor prior;  // [classes], the training rows' mean scores
};

class LogitLens : public Decoder {
 public:
  // `model` is the one that info names.
  LogitLens(DecoderInfo info, LogitLensSpec spec, LogitLensWeights weights,
            std::shared_ptr<const LanguageModel> model);

  // Throws Error if files do not fit decoder.json or the model.
  static std::unique_ptr<LogitLens> Load(const DecoderFile& file,
                                         const std::filesystem::path& folder,
                                         std::shared_ptr<const LanguageModel> model);
  // Writes everything but decoder.json, whose part for this kind it returns.
  static nlohmann::ordered_json Save(const std::filesystem::path& folder, const LogitLensSpec& spec,
                                     const LogitLensWeights& weights);

  // A class's score is the log-probability of the first token of " word", the mean over the hooks;
  // words that begin with the same token have the same. [n, classes], not calibrated.
  at::Tensor WordScores(const at::Tensor& rows) const;

 protected:
  Scores ReadRows(const at::Tensor& rows, const std::vector<std::string>& holders) const override;
  std::vector<std::string> SentencesOf(const at::Tensor& rows, const Scores& scores,
                                       const std::vector<std::string>& holders) const override;

 private:
  LogitLensSpec spec_;
  LogitLensWeights weights_;
  std::shared_ptr<const LanguageModel> model_;
  TokenProbabilities first_tokens_;  // each word's
};

}  // namespace extrospect
