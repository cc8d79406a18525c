// How an activation file is laid out: what files with rows of their own and files over shards have
// in common. Internal to records/.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "records/activations.h"
#include "records/hdf5.h"

namespace extrospect::hdf5 {

// The error that a file is whose parts contradict each other.
Error Damaged(const std::string& path, const std::string& what);

// The HDF5 type of stored numbers.
Handle StoredType(StoreType type);

// Creates a chunked dataset, extendable along the first dimension, in `file`. Laid out at once:
// space for every chunk is taken now, and nothing is filled.
Handle CreateDataset(hid_t file, const std::string& name, hid_t type,
                     const std::vector<hsize_t>& sizes, hsize_t chunk_rows);

// Creates the file (replacing what is there) with everything but the rows' values, for which
// `add_rows` makes the datasets. It lies under another name until then, and a failure or a kill
// leaves nothing half-made under its own. Returns where it is, behind symbolic links.
std::filesystem::path CreateActivationFile(const std::filesystem::path& path,
                                           const ActivationOrigin& origin,
                                           const ActivationLayout& layout, bool complete,
                                           const std::function<void(hid_t file)>& add_rows);

// The groups /rows and /transcripts. Throws Error if they contradict each other, or claim more than
// the file at `path` could hold.
ActivationLayout ReadLayout(hid_t file, const std::string& path);

// Everything that was written to `file`, which lies at `path`, is on disk afterwards.
void Sync(hid_t file, const std::string& path);

}  // namespace extrospect::hdf5
