// Times an oracle's training steps inside one warm process, at the pace of whoever drives it
// (tools/bench/oracle_training): begins by printing the exchanges as tokens; then reads a number of
// steps a line, takes them, and prints one JSON line.
//
// Usage: oracle_training_bench MODEL DTYPE PEFT_FOLDER QUESTIONS.jsonl VECTORS.safetensors BATCH
//
// QUESTIONS: a {"question", "answer"} a line. VECTORS: `vectors` [questions, k, d_model], which
// enter after block 1, norm-matched. The adapter starts as the folder has it. Steps go round the
// exchanges in their order.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <sstream>
#include <utility>
#include <vector>

#include "base/file.h"
#include "model/weights/peft.h"
#include "model/weights/weight_file.h"
#include "tests/bench/bench_io.h"
#include "train/loop/adamw.h"
#include "train/oracle/oracle_loss.h"

namespace extrospect {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

at::Tensor LoadVectors(const std::string& path) {
  const SafetensorsFile file(path);
  return LoadTensor(file, "vectors", file.entries().at("vectors").shape, at::kCPU);
}

AdamWOptions Options() {
  AdamWOptions options;
  options.learning_rate = 1e-3;
  options.clip_norm = 1.0;
  return options;
}

class Bench {
 public:
  explicit Bench(char** argv)
      : model_(LoadModel(argv[1], WeightOptions{.dtype = ParseDtype(argv[2]), .trainable = true})),
        adapter_(LoadPeft(argv[3], model_.architecture,
                          PlaceBlocks(model_.architecture.n_layers, {at::kCPU}))),
        vectors_(LoadVectors(argv[5])),
        batch_(std::stoll(argv[6])),
        optimiser_(Parameters(), Options()) {
    std::istringstream lines(ReadFile(argv[4]));
    for (std::string line; std::getline(lines, line);) {
      const json qa = json::parse(line);
      const OraclePrompt prompt =
          MakeOraclePrompt(model_, {.layers = "14", .n_vectors = vectors_.size(1)},
                           qa.at("question"), qa.at("answer"));
      prefix_ = prompt.prefix;
      exchanges_.push_back(MakeExchange(model_, prompt));
    }
  }

  ordered_json Start() const {
    ordered_json exchanges = ordered_json::array();
    for (const Exchange& exchange : exchanges_) {
      exchanges.push_back({{"tokens", exchange.tokens}, {"n_asked", exchange.n_asked}});
    }
    return {{"prefix", prefix_}, {"exchanges", exchanges}};
  }

  ordered_json Run(const std::string& line) {
    const auto start = bench::Clock::now();
    size_t tokens = 0;
    std::vector<double> losses;
    for (int64_t steps = std::stoll(line); steps > 0; --steps) {
      const size_t count =
          std::min(static_cast<size_t>(batch_), exchanges_.size() - static_cast<size_t>(next_));
      const auto exchanges =
          std::span<const Exchange>(exchanges_).subspan(static_cast<size_t>(next_), count);
      int64_t n_answer = 0;
      for (const Exchange& exchange : exchanges) {
        tokens += prefix_.size() + exchange.tokens.size();
        n_answer += exchange.n_answer();
      }
      const AdapterPass pass(adapter_, model_.architecture, model_.transformer->dtype());
      const at::Tensor loss =
          SumOfAnswerLosses(*model_.transformer, &pass, InjectionSite(), prefix_, exchanges,
                            vectors_.narrow(0, next_, static_cast<int64_t>(count))) /
          static_cast<double>(n_answer);
      loss.backward();
      losses.push_back(loss.item<double>());
      optimiser_.Step(1.0);
      next_ = (next_ + static_cast<int64_t>(count)) % static_cast<int64_t>(exchanges_.size());
    }
    return {{"seconds", bench::SecondsSince(start)},
            {"tokens", tokens},
            {"losses", losses},
            {"peak_memory", bench::PeakMemory()}};
  }

 private:
  std::vector<Parameter> Parameters() {
    std::vector<Parameter> parameters;
    for (size_t block = 0; block < adapter_.blocks.size(); ++block) {
      for (LowRank& low_rank : adapter_.blocks[block].low_rank) {
        for (at::Tensor* const tensor : {&low_rank.a, &low_rank.b}) {
          if (!tensor->defined()) continue;
          tensor->requires_grad_(true);
          parameters.push_back({std::to_string(parameters.size()), *tensor});
        }
      }
    }
    return parameters;
  }

  LanguageModel model_;
  Adapter adapter_;
  at::Tensor vectors_;
  int64_t batch_ = 0, next_ = 0;
  std::vector<int32_t> prefix_;
  std::vector<Exchange> exchanges_;
  AdamW optimiser_;
};

}  // namespace
}  // namespace extrospect

int main(int argc, char** argv) {
  return extrospect::bench::Main<extrospect::Bench>(
      argc, argv, 6, "MODEL DTYPE PEFT_FOLDER QUESTIONS.jsonl VECTORS.safetensors BATCH");
}
