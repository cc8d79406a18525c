// Decoders that ask the language model itself: activations are injected into its residual stream
// at placeholder tokens of a question, and its answer is the reading.
//
//   oracle   the model carries a LoRA adapter (activation oracles, arXiv 2512.15674)
//   vector   the frozen model with trained vectors added to what its blocks write
//   affine   the frozen model; the activation enters through s · v + b
//   selfie   nothing is trained (Patchscopes, arXiv 2401.06102; SelfIE, arXiv 2403.10949)
//
// Probabilities are those of the answers "The {holder} feels {word}", so that they need no judge.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "decode/decoder.h"
#include "decode/load.h"
#include "decode/oracle/naming_reading.h"
#include "decode/oracle/oracle_folder.h"
#include "decode/oracle/oracle_prompt.h"
#include "decode/oracle/word_scorer.h"
#include "model/model.h"
#include "model/weights/adapter.h"

namespace extrospect {

class Oracle : public Decoder {
 public:
  // `model` is the one that info names, without adapters.
  Oracle(DecoderInfo info, OracleSpec spec, OracleWeights weights,
         std::shared_ptr<const LanguageModel> model);

  // Throws Error if files do not fit decoder.json or the model.
  static std::unique_ptr<Oracle> Load(const DecoderFile& file, const std::filesystem::path& folder,
                                      std::shared_ptr<const LanguageModel> model);

  bool costly() const override { return true; }

  // Log-probabilities of the answers, [n, classes], neither calibrated nor normalised.
  at::Tensor AnswerScores(const at::Tensor& rows, const std::vector<std::string>& holders) const;
  // Of the same questions without an activation, [n, classes].
  at::Tensor PriorScores(const std::vector<std::string>& holders) const;
  // Scores of the naming reading alone, which has to be there.
  NamingScores NamingScoresOf(const at::Tensor& rows) const;

  bool answers() const override { return true; }

  const OracleSpec& spec() const { return spec_; }

 protected:
  Scores ReadRows(const at::Tensor& rows, const std::vector<std::string>& holders) const override;
  std::vector<std::string> SentencesOf(const at::Tensor& rows, const Scores& scores,
                                       const std::vector<std::string>& holders) const override;
  std::vector<std::vector<std::string>> AnswersOf(const at::Tensor& rows,
                                                  const std::vector<std::string>& holders,
                                                  const AnswerOptions& options) const override;

 private:
  OraclePrompt Ask(const std::string& question, const std::string& answer) const;
  std::string Question(const std::string& question, const std::string& holder) const;
  // Keys and values of the prompts' common beginning.
  std::shared_ptr<const KvSegment> Prefix(const OraclePrompt& prompt) const;
  const WordScorer& ScorerFor(const std::string& holder) const;
  at::Tensor Vectors(const at::Tensor& rows) const;
  // The continuations of prompts, one prompt for each row: [n][samples].
  std::vector<std::vector<std::string>> Continue(const at::Tensor& vectors,
                                                 const std::vector<OraclePrompt>& prompts,
                                                 const AnswerOptions& options) const;

  OracleSpec spec_;
  OracleWeights weights_;
  std::shared_ptr<const LanguageModel> model_;
  std::optional<AdapterPass> adapter_;
  mutable std::mutex mutex_;  // of what is made when it is first needed
  mutable std::shared_ptr<const KvSegment> prefix_;
  mutable std::map<std::string, std::unique_ptr<WordScorer>> scorers_;  // by holder
};

}  // namespace extrospect
