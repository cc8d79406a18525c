// How an activation file is laid out: what files with rows of their own and files over shards have
// in common. Internal to records/.
#pragma once

#include <string>
#include <vector>

#include "records/activations.h"
#include "records/hdf5.h"

namespace extrospect::hdf5 {

// The HDF5 type of stored numbers.
Handle StoredType(StoreType type);

// Creates a chunked dataset, extendable along the first dimension, in `file`. Laid out at once:
// space for every chunk is taken now, and nothing is filled.
Handle CreateDataset(hid_t file, const std::string& name, hid_t type,
                     const std::vector<hsize_t>& sizes, hsize_t chunk_rows);

// The attributes of the root group, but for `complete`.
void WriteOrigin(hid_t file, const ActivationOrigin& origin);
// The groups /rows and /transcripts.
void WriteLayout(hid_t file, const ActivationLayout& layout);

// Everything that was written to `file`, which lies at `path`, is on disk afterwards.
void Sync(hid_t file, const std::string& path);

}  // namespace extrospect::hdf5
