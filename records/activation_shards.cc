#include "records/activation_shards.h"

#include <algorithm>
#include <system_error>

#include "base/error.h"
#include "records/activations_layout.h"
#include "records/hdf5.h"
#include "records/shard_check.h"

namespace extrospect {
namespace {

std::filesystem::path ShardFolder(const std::filesystem::path& path) {
  // HDF5 would take a % in the name of a source for a pattern.
  std::string name = path.filename().string() + ".shards";
  std::replace(name.begin(), name.end(), '%', '_');
  return path.parent_path() / name;
}

// A dataset of all rows, each shard's where they belong.
void CreateVirtualDataset(hid_t file, const std::string& name, hid_t type,
                          const std::vector<hsize_t>& sizes,
                          const std::vector<ActivationShard>& shards) {
  const hdf5::Handle space(H5Screate_simple(2, sizes.data(), nullptr), "make a dataspace", name);
  const hdf5::Handle create(H5Pcreate(H5P_DATASET_CREATE), "make a property list", name);
  H5Pset_obj_track_times(create, false);  // the same run gives the same bytes
  for (const ActivationShard& shard : shards) {
    const hsize_t start[] = {shard.first_row, 0}, size[] = {shard.n_rows, sizes[1]};
    hdf5::Check(H5Sselect_hyperslab(space, H5S_SELECT_SET, start, nullptr, size, nullptr),
                "select rows", name);
    const hdf5::Handle source(H5Screate_simple(2, size, nullptr), "make a dataspace", name);
    // All of it, but said in numbers: what "all" is, the file would not say.
    const hsize_t origin[] = {0, 0};
    hdf5::Check(H5Sselect_hyperslab(source, H5S_SELECT_SET, origin, nullptr, size, nullptr),
                "select rows", name);
    hdf5::Check(H5Pset_virtual(create, space, shard.file.c_str(), name.c_str(), source),
                "refer to a shard", shard.file);
  }
  const hdf5::Handle link(H5Pcreate(H5P_LINK_CREATE), "make a property list", name);
  H5Pset_create_intermediate_group(link, 1);
  const hdf5::Handle dataset(H5Dcreate2(file, name.c_str(), type, space, link, create, H5P_DEFAULT),
                             "create dataset", name);
}

}  // namespace

std::string ShardFile(const std::filesystem::path& path, int number) {
  return ShardFolder(path).filename().string() + "/rank-" + std::to_string(number) + ".h5";
}

ActivationLayout PartOfLayout(const ActivationLayout& layout, uint32_t begin, uint32_t end) {
  ActivationLayout part;
  if (begin >= end) return part;
  const auto& last = layout.transcripts[end - 1];
  const auto first_row = static_cast<ptrdiff_t>(layout.transcripts[begin].first_row);
  const auto end_row = static_cast<ptrdiff_t>(last.first_row + last.n_rows);
  part.transcripts.assign(layout.transcripts.begin() + begin, layout.transcripts.begin() + end);
  for (auto& transcript : part.transcripts) transcript.first_row -= first_row;
  const auto cut = [&](const auto& column) {
    return column.empty() ? column
                          : std::decay_t<decltype(column)>(column.begin() + first_row,
                                                           column.begin() + end_row);
  };
  part.transcript = cut(layout.transcript);
  for (uint32_t& transcript : part.transcript) transcript -= begin;
  part.position = cut(layout.position);
  part.first_position = cut(layout.first_position);
  part.token_id = cut(layout.token_id);
  part.selection = cut(layout.selection);
  return part;
}

void WriteActivationsOverShards(const std::filesystem::path& path, const ActivationOrigin& origin,
                                const ActivationLayout& layout,
                                const std::vector<std::string>& hooks, StoreType store,
                                const std::vector<ActivationShard>& shards) {
  hdf5::Initialize();
  uint64_t rows = 0;
  for (const ActivationShard& shard : shards) {
    if (shard.first_row != rows) throw Error("the shards do not lie end to end").At(shard.file);
    CheckShard(path, shard, origin, layout, hooks);
    rows += shard.n_rows;
  }
  if (rows != layout.n_rows()) throw Error("the shards do not hold all rows").At(path.string());
  const hdf5::Handle type = hdf5::StoredType(store);
  hdf5::CreateActivationFile(path, origin, layout, /*complete=*/true, [&](hid_t file) {
    for (const std::string& hook : hooks) {
      CreateVirtualDataset(file, "/activations/" + hook, type,
                           {rows, static_cast<hsize_t>(origin.d_model)}, shards);
    }
  });
}

void RemoveShards(const std::filesystem::path& path) {
  const std::filesystem::path folder = ShardFolder(path);
  std::error_code failed;
  std::vector<std::filesystem::path> shards;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
    if (entry.path().filename().string().starts_with("rank-")) shards.push_back(entry.path());
  }
  for (const auto& shard : shards) std::filesystem::remove(shard, failed);
  std::filesystem::remove(folder, failed);  // where nothing else is in it
}

}  // namespace extrospect
