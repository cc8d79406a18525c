// Times an oracle's readings inside one warm process, at the pace of whoever drives it
// (tools/bench/oracle_reading): begins by printing the prompts as tokens, then reads a command a
// line and prints one JSON line.
//
//   reading        as decode makes it: probabilities over the lexicon and a sentence for every row
//   probabilities  without the sentence
//   sentence       the oracle's own answer to its question, all that the other side does
//
// Usage: oracle_reading_bench MODEL DTYPE DECODER ACTIVATIONS ROWS VECTORS.safetensors
//
// Writes to VECTORS what is injected for every row, `vectors` [rows, k, d_model].
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "decode/activation_rows.h"
#include "decode/load.h"
#include "decode/oracle/oracle.h"
#include "decode/oracle/oracle_folder.h"
#include "decode/reader.h"
#include "model/weights/weight_file.h"
#include "records/transcripts.h"
#include "tests/bench/bench_io.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;

// The decoder's own maps, from its folder.
OracleInput LoadInput(const std::filesystem::path& folder, const LanguageModel& model) {
  const std::string where = (folder / "decoder.json").string();
  const DecoderFile file = ParseDecoderJson(ReadFile(where), where);
  return LoadOracleWeights(file, ParseOracleSpec(file, where), folder, model).input;
}

class Bench {
 public:
  explicit Bench(char** argv)
      : model_(std::make_shared<const LanguageModel>(
            LoadModel(argv[1], WeightOptions{.dtype = ParseDtype(argv[2])}))),
        decoder_(LoadDecoder(argv[3], at::kCPU, model_)),
        oracle_(dynamic_cast<const Oracle&>(*decoder_)) {
    const ActivationReader reader(argv[4]);
    const DecoderInfo& info = decoder_->info();
    CheckFits(info, reader.origin(), reader.hooks(), argv[4]);
    RowPlan plan = PlanRows(reader, info.selection, info.pool);
    // Rows in equal steps, so that every kind of transcript is among them.
    const size_t n = plan.rows.size(),
                 wanted = std::min(n, static_cast<size_t>(std::stoul(argv[5])));
    RowPlan chosen;
    for (size_t i = 0; i < wanted; ++i) chosen.rows.push_back(plan.rows[i * n / wanted]);
    rows_ = LoadRows(reader, chosen, info.hooks, info.token_pool);
    for (const RowPlan::Row& row : chosen.rows) {
      const Transcript transcript =
          ParseTranscript(reader.layout().transcripts[row.transcript].json, argv[4], "");
      origins_.push_back({.transcript = transcript.id, .holder = transcript.holder, .token = ""});
      holders_.push_back(transcript.holder);
    }
    if (!oracle_.spec().question.empty()) {
      throw UsageError("a decoder with a question of its own cannot be compared").At(argv[3]);
    }
    const OracleInput input = LoadInput(argv[3], *model_);
    SaveTensors(argv[6], {{"vectors", input.Vectors(rows_)}});
    for (const std::string& holder : holders_) {
      prompts_.push_back(MakeOraclePrompt(*model_,
                                          {.layers = LayersText(info.hooks),
                                           .placeholder = oracle_.spec().placeholder,
                                           .n_vectors = input.n_vectors()},
                                          FeelsQuestion(holder), ""));
    }
  }

  ordered_json Start() const {
    ordered_json prompts = ordered_json::array();
    for (const OraclePrompt& prompt : prompts_) {
      std::vector<int32_t> tokens = prompt.prefix;
      tokens.insert(tokens.end(), prompt.question.begin(), prompt.question.end());
      prompts.push_back({{"tokens", tokens}, {"first_placeholder", prompt.prefix.size()}});
    }
    const InjectionSite& site = oracle_.spec().site;
    return {{"prompts", prompts},
            {"stop_tokens", model_->stop_tokens},
            {"max_answer_tokens", oracle_.spec().max_answer_tokens},
            {"block", site.block},
            {"rule", InjectionRuleName(site.rule)},
            {"coefficient", site.coefficient}};
  }

  ordered_json Run(const std::string& what) {
    const c10::InferenceMode inference;
    const auto start = bench::Clock::now();
    std::vector<std::string> sentences;
    if (what == "sentence") {
      // In batches of the size that readings have.
      for (int64_t first = 0; first < rows_.size(0); first += ReadOptions().batch_rows) {
        const int64_t count = std::min(ReadOptions().batch_rows, rows_.size(0) - first);
        for (std::vector<std::string>& samples :
             oracle_.Answer(rows_.narrow(0, first, count),
                            {holders_.begin() + first, holders_.begin() + first + count}, {})) {
          sentences.push_back(std::move(samples.front()));
        }
      }
    } else {
      ReadOptions options;
      options.sentences = what == "reading";
      for (Reading& reading : ReadRows(*decoder_, rows_, origins_, options, {})) {
        sentences.push_back(std::move(reading.reading));
      }
    }
    const double seconds = bench::SecondsSince(start);
    int64_t tokens = 0;
    for (const std::string& sentence : sentences) {
      tokens += static_cast<int64_t>(model_->tokenizer->Encode(sentence, false).ids.size());
    }
    return {{"seconds", seconds},
            {"readings", rows_.size(0)},
            {"tokens", tokens},
            {"sentences", sentences},
            {"peak_memory", bench::PeakMemory()}};
  }

 private:
  std::shared_ptr<const LanguageModel> model_;
  std::unique_ptr<Decoder> decoder_;
  const Oracle& oracle_;
  at::Tensor rows_;
  std::vector<RowOrigin> origins_;
  std::vector<std::string> holders_;
  std::vector<OraclePrompt> prompts_;
};

}  // namespace
}  // namespace extrospect

int main(int argc, char** argv) {
  return extrospect::bench::Main<extrospect::Bench>(
      argc, argv, 6, "MODEL DTYPE DECODER ACTIVATIONS ROWS VECTORS.safetensors");
}
