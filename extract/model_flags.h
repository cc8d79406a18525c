// Flags that commands have in common which run transcripts through a model.
#pragma once

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

// How transcripts become tokens.
struct RenderFlags {
  std::string format = "chat", truncate = "none";

  PrepareOptions prepare() const;
};

// --format, --truncate.
void AddRenderFlags(CLI::App& command, RenderFlags& flags);

}  // namespace extrospect
