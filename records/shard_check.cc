#include "records/shard_check.h"

#include <iterator>
#include <regex>

#include "base/error.h"
#include "records/activations_layout.h"

namespace extrospect {
namespace {

// Whether `part` is what `whole` says of the shard's rows and of their transcripts.
bool IsPart(const ActivationLayout& part, const ActivationLayout& whole,
            const ActivationShard& shard) {
  const uint64_t end_row = shard.first_row + shard.n_rows;
  if (part.n_rows() != shard.n_rows || shard.n_rows == 0 || end_row > whole.n_rows()) return false;
  const int64_t begin = int64_t{whole.transcript[shard.first_row]} - part.transcript[0];
  const int64_t end = begin + std::ssize(part.transcripts);
  if (begin < 0 || end > std::ssize(whole.transcripts)) return false;
  const auto& first = whole.transcripts[static_cast<size_t>(begin)];
  const auto& last = whole.transcripts[static_cast<size_t>(end - 1)];
  return first.first_row == shard.first_row && last.first_row + last.n_rows == end_row &&
         part == PartOfLayout(whole, static_cast<uint32_t>(begin), static_cast<uint32_t>(end));
}

// Whether `file` is a name that ShardFile() makes: one folder down, no way out.
bool IsShardFile(const std::string& file) {
  static const std::regex kForm(R"([^/%]+\.shards/rank-[0-9]+\.h5)");
  return std::regex_match(file, kForm);
}

// Text that HDF5 hands out by asking twice: for its length, then for itself.
template <typename Get>
std::string TextOf(Get get, const std::string& where) {
  const ssize_t length = get(nullptr, 0);
  if (length <= 0 || length > 4096) throw hdf5::Damaged(where, "a shard without a name");
  std::string text(static_cast<size_t>(length), '\0');
  get(text.data(), static_cast<size_t>(length) + 1);
  return text;
}

}  // namespace

std::vector<ActivationShard> ShardsOf(hid_t dataset, const std::string& name,
                                      const std::filesystem::path& path, uint64_t rows,
                                      uint64_t width) {
  const std::string where = path.string() + ", " + name;
  const hdf5::Handle create(H5Dget_create_plist(dataset), "read the layout", where);
  if (H5Pget_layout(create) != H5D_VIRTUAL) return {};
  size_t count = 0;
  hdf5::Check(H5Pget_virtual_count(create, &count), "read the shards", where);
  std::vector<ActivationShard> shards;
  uint64_t covered = 0;
  for (size_t i = 0; i < count; ++i) {
    ActivationShard shard;
    shard.file = TextOf(
        [&](char* text, size_t size) { return H5Pget_virtual_filename(create, i, text, size); },
        where);
    const std::string source = TextOf(
        [&](char* text, size_t size) { return H5Pget_virtual_dsetname(create, i, text, size); },
        where);
    if (!IsShardFile(shard.file) || source != name) {
      throw hdf5::Damaged(where, "rows in " + shard.file + ", " + source);
    }
    const hdf5::Handle here(H5Pget_virtual_vspace(create, i), "read the shards", where);
    const hdf5::Handle there(H5Pget_virtual_srcspace(create, i), "read the shards", where);
    hsize_t first[2] = {}, last[2] = {}, first_there[2] = {}, last_there[2] = {};
    if (H5Sget_simple_extent_ndims(here) != 2 || H5Sget_simple_extent_ndims(there) != 2 ||
        H5Sget_select_bounds(here, first, last) < 0 ||
        H5Sget_select_bounds(there, first_there, last_there) < 0) {
      throw hdf5::Damaged(where, "a shard without rows");
    }
    shard.first_row = first[0];
    shard.n_rows = last[0] - first[0] + 1;
    const auto points = static_cast<hssize_t>(shard.n_rows * width);
    const bool whole = first_there[0] == 0 && last_there[0] + 1 == shard.n_rows &&
                       first_there[1] == 0 && last_there[1] + 1 == width;
    if (first[0] != covered || last[0] >= rows || first[1] != 0 || last[1] + 1 != width || !whole ||
        H5Sget_select_npoints(here) != points || H5Sget_select_npoints(there) != points) {
      throw hdf5::Damaged(where, "shards that do not lie end to end");
    }
    covered += shard.n_rows;
    shards.push_back(std::move(shard));
  }
  if (covered != rows) throw hdf5::Damaged(where, "rows that no shard holds");
  return shards;
}

void CheckShard(const std::filesystem::path& whole, const ActivationShard& shard,
                const ActivationOrigin& origin, const ActivationLayout& layout,
                const std::vector<std::string>& hooks) {
  const std::filesystem::path path = whole.parent_path() / shard.file;
  if (!std::filesystem::exists(path)) {
    throw Error("a shard of the activation file is missing")
        .At(path.string())
        .Expected("rows " + std::to_string(shard.first_row) + " to " +
                  std::to_string(shard.first_row + shard.n_rows - 1) + " of " + whole.string())
        .Hint("keep the file and its folder " +
              std::filesystem::path(shard.file).parent_path().string() +
              " together, or extract again");
  }
  const ActivationReader reader(path);
  const auto refuse = [&](const std::string& what) {
    return Error("a shard does not belong to the activation file")
        .At(path.string())
        .Found(what + ", unlike " + whole.string())
        .Hint("extract again");
  };
  if (reader.origin().model_sha256 != origin.model_sha256) throw refuse("another model");
  if (reader.origin().d_model != origin.d_model) throw refuse("rows of another width");
  if (reader.origin().config != origin.config) throw refuse("another configuration");
  if (!IsPart(reader.layout(), layout, shard)) throw refuse("other rows");
  for (const std::string& hook : hooks) {
    if (!reader.HasHook(hook)) throw refuse("no " + hook);
  }
}

}  // namespace extrospect
