// Whether the shards of an activation file are there and whole. HDF5 itself would read a missing
// shard as zeros. Internal to records/.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "records/activation_shards.h"
#include "records/hdf5.h"

namespace extrospect {

// Throws an Error that names the shard unless it is a complete activation file of the same run,
// holds the rows that it should, and every hook.
void CheckShard(const std::filesystem::path& whole, const ActivationShard& shard,
                const ActivationOrigin& origin, const ActivationLayout& layout,
                const std::vector<std::string>& hooks);

// The shards that `dataset`, a hook's rows in the file at `path`, is put together from; none if it
// has rows of its own. Throws Error unless they cover [rows, width] end to end, lie beneath the
// file's own folder, and take the dataset of the same name.
std::vector<ActivationShard> ShardsOf(hid_t dataset, const std::string& name,
                                      const std::filesystem::path& path, uint64_t rows,
                                      uint64_t width);

}  // namespace extrospect
