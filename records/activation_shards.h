// Activation files over several: rows that were extracted in parts, readable as one file.
//
// The whole file has everything but the rows' values, which are HDF5 virtual datasets over the
// shards. A shard is a complete activation file of a run of transcripts. Shards are named relative
// to the whole file's folder, so that both can be moved together.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "records/activations.h"

namespace extrospect {

struct ActivationShard {
  std::string file;        // "A.h5.shards/rank-0.h5", from the whole file's folder
  uint64_t first_row = 0;  // in the whole file
  uint64_t n_rows = 0;

  bool operator==(const ActivationShard&) const = default;
};

// The name of shard number `number` of the activation file at `path`, from the folder of `path`.
std::string ShardFile(const std::filesystem::path& path, int number);

// Transcripts [begin, end) of a layout as a layout of their own, counted from 0.
ActivationLayout PartOfLayout(const ActivationLayout& layout, uint32_t begin, uint32_t end);

// Writes the whole file, which appears under its name when it is whole. The shards must be
// complete, lie end to end, and hold all rows; throws Error otherwise.
void WriteActivationsOverShards(const std::filesystem::path& path, const ActivationOrigin& origin,
                                const ActivationLayout& layout,
                                const std::vector<std::string>& hooks, StoreType store,
                                const std::vector<ActivationShard>& shards);

// Removes the shards of the activation file at `path`, if there are any.
void RemoveShards(const std::filesystem::path& path);

}  // namespace extrospect
