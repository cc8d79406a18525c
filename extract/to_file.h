// Extraction to an activation file, by one process or shared between ranks.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "base/ranks.h"
#include "extract/extract.h"
#include "model/model.h"
#include "records/activations.h"

namespace extrospect {

struct ExtractTarget {
  std::filesystem::path path;
  ActivationOrigin origin;
  std::vector<std::string> hooks;  // one a block of the options
  StoreType store = StoreType::kBFloat16;
  bool resume = false;
  std::FILE* progress = nullptr;  // null: silent
};

struct ExtractTime {
  double seconds = 0.0;  // 0: everything was there already
  double rate = 0.0;     // tokens a second
};

ExtractTime ExtractToFile(const LanguageModel& model, const ExtractPlan& plan,
                          const ExtractOptions& options, const ExtractTarget& target);

// The transcripts of one rank.
struct Share {
  uint32_t begin = 0;
  uint32_t end = 0;
};

// Shares a plan out between `ranks`: whole parts, in order, about as many tokens for each. A share
// may be empty where there are few parts.
std::vector<Share> ShareOut(const ExtractPlan& plan, int ranks);

// Every rank extracts its share to a shard (records/activation_shards.h); rank 0 writes the file
// over all of them. The rows are those of ExtractToFile, byte for byte. Call it on all ranks with
// the same arguments (but `progress`); of the plan only this rank's batches are left. A resumed run
// needs as many ranks as before.
ExtractTime ExtractOverRanks(const LanguageModel& model, ExtractPlan& plan,
                             const ExtractOptions& options, const ExtractTarget& target,
                             const Ranks& ranks);

}  // namespace extrospect
