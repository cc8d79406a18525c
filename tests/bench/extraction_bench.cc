// Times extraction inside one warm process, at the pace of whoever drives it
// (tools/bench/extraction): reads a line from stdin, runs once, prints one JSON line.
//
//   forward   the forward pass alone, rows thrown away
//   extract   the same with rows written to an activation file
//   products  the body's matrix products alone, on batches of the same sizes: what the machine
//   gives
//
// Usage: extraction_bench MODEL TRANSCRIPTS LAYERS DTYPE FORMAT SCRATCH_FILE
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <malloc.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>

#include "base/error.h"
#include "extract/extract.h"
#include "extract/file_sink.h"
#include "model/hooks.h"

namespace extrospect {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct NullSink : RowSink {
  void Write(size_t, uint64_t, const at::Tensor&) override {}
  void Done(const std::vector<uint32_t>&) override {}
};

class Bench {
 public:
  Bench(const std::string& model_path, const std::string& transcripts, const std::string& layers,
        const std::string& dtype, const std::string& format, std::string scratch)
      : model_(LoadModel(model_path, WeightOptions{.dtype = ParseDtype(dtype),
                                                   .devices = {at::Device(at::kCPU)},
                                                   .trainable = false})),
        transcripts_(ReadTranscripts(transcripts)),
        scratch_(std::move(scratch)) {
    options_.blocks = ParseLayers(layers, model_.architecture.n_layers);
    options_.selections = {Selection::Parse("all")};
    options_.pool_mean = true;
    options_.prepare.format = format == "raw" ? TranscriptFormat::kRaw : TranscriptFormat::kChat;
    plan_ = PlanExtraction(model_, transcripts_, options_);
    for (const auto& transcript : plan_.transcripts) tokens_ += transcript.tokens.size();
  }

  void Run(const std::string& what) {
    const auto start = Clock::now();
    if (what == "forward") {
      NullSink sink;
      RunExtraction(model_, plan_, options_, NothingDone(), sink, nullptr);
    } else if (what == "extract") {
      std::vector<std::string> hooks;
      for (const int64_t block : options_.blocks) hooks.push_back(HookName(block));
      ActivationWriter writer(scratch_, OriginOf(model_, "bf16", "{}"), plan_.layout, hooks,
                              StoreType::kBFloat16, false);
      FileSink sink(writer, StoreType::kBFloat16);
      RunExtraction(model_, plan_, options_, NothingDone(), sink, nullptr);
      writer.Finish();
    } else if (what == "products") {
      RunProducts();
    } else {
      throw UsageError("unknown command").Found(what);
    }
    std::printf(
        "{\"what\": \"%s\", \"seconds\": %.6f, \"tokens\": %zu, \"computed_tokens\": %lld, "
        "\"product_flops\": %.0f}\n",
        what.c_str(), SecondsSince(start), tokens_, static_cast<long long>(ComputedTokens()),
        ProductFlops());
    std::fflush(stdout);
  }

 private:
  std::vector<uint8_t> NothingDone() const {
    return std::vector<uint8_t>(plan_.transcripts.size(), 0);
  }

  int64_t BatchRows(const std::vector<uint32_t>& batch) const {
    int64_t rows = 0;
    for (const uint32_t i : batch) {
      rows += static_cast<int64_t>(plan_.transcripts[i].tokens.size()) -
              (plan_.has_prefix[i] ? static_cast<int64_t>(plan_.prefix.size()) : 0);
    }
    return rows;
  }
  int64_t ComputedTokens() const {
    int64_t rows = static_cast<int64_t>(plan_.prefix.size());
    for (const auto& batch : plan_.batches) rows += BatchRows(batch);
    return rows;
  }
  int64_t Depth() const { return options_.blocks.back() + 1; }
  double ProductFlops() const {
    const Architecture& a = model_.architecture;
    const double a_block = 2.0 * a.d_model * (a.qkv_size() + a.q_size() + 3.0 * a.d_ff);
    return a_block * static_cast<double>(ComputedTokens()) * static_cast<double>(Depth());
  }

  void RunProducts() {
    const c10::InferenceMode inference;
    const Architecture& a = model_.architecture;
    const auto options = at::TensorOptions(model_.transformer->dtype()).device(at::kCPU);
    for (const auto& batch : plan_.batches) {
      const int64_t rows = BatchRows(batch);
      const at::Tensor x = at::ones({rows, a.d_model}, options);
      const at::Tensor attended = at::ones({rows, a.q_size()}, options);
      const at::Tensor hidden = at::ones({rows, a.d_ff}, options);
      for (int64_t block = 0; block < Depth(); ++block) {
        const BlockWeights& weights = model_.transformer->weights().blocks[block];
        weights.qkv(x);
        weights.attention_out(attended);
        weights.gate_up(x);
        weights.down(hidden);
      }
    }
  }

  LanguageModel model_;
  std::vector<Transcript> transcripts_;
  std::string scratch_;
  ExtractOptions options_;
  ExtractPlan plan_;
  size_t tokens_ = 0;
};

}  // namespace
}  // namespace extrospect

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fprintf(stderr, "usage: %s MODEL TRANSCRIPTS LAYERS DTYPE FORMAT SCRATCH_FILE\n", argv[0]);
    return 2;
  }
  mallopt(M_MMAP_THRESHOLD, 1 << 30);  // as main.cc does
  mallopt(M_TRIM_THRESHOLD, -1);
  try {
    extrospect::Bench bench(argv[1], argv[2], argv[3], argv[4], argv[5], argv[6]);
    std::puts("ready");
    std::fflush(stdout);
    for (std::string line; std::getline(std::cin, line);) bench.Run(line);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
