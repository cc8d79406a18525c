// Flags that commands have in common which run transcripts through a model.
#pragma once

#include <cstdint>
#include <string>

#include "extract/prepare.h"
#include "model/weights/weights.h"

namespace CLI {
class App;
}

namespace extrospect {

// How to compute.
struct ComputeFlags {
  std::string dtype = "bf16", device = "cpu";
  int threads = 0;  // 0: all

  // Throws UsageError on names that there are not.
  WeightOptions weights() const;
  // Tells libtorch how many threads to use.
  void SetThreads() const;
};

// --dtype, --device, --threads.
void AddComputeFlags(CLI::App& command, ComputeFlags& flags);

// Beyond what memory holds, and far from where the arithmetic of batches ends.
constexpr int64_t kMaxBatchTokens = int64_t{1} << 24;

// --batch-tokens, 1 to kMaxBatchTokens.
void AddBatchTokensFlag(CLI::App& command, int64_t& batch_tokens);

// How transcripts become tokens.
struct RenderFlags {
  std::string format;  // empty: what is usual for the command
  std::string truncate = "none";

  PrepareOptions prepare(const std::string& usual_format) const;
};

// --format, --truncate. usual_format: what its default is, for the help.
void AddRenderFlags(CLI::App& command, RenderFlags& flags, const std::string& usual_format);

}  // namespace extrospect
