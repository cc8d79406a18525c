#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/text.h"
#include "model/hooks.h"
#include "records/activations.h"
#include "records/activations_layout.h"
#include "records/hdf5.h"
#include "records/shard_check.h"

namespace extrospect {
namespace {

// Rows of one read; bounds the memory that conversions take.
constexpr uint64_t kReadRows = 4096;

// Whether the file is large enough for the rows that `dataset` claims to hold: whoever reads them
// makes room for as many.
bool HoldsRows(hid_t dataset, const std::vector<hsize_t>& shape, const std::string& path) {
  // The most that HDF5's own compression (deflate) makes of a byte.
  constexpr hsize_t kMaxExpansion = 1032;
  const hdf5::Handle create(H5Dget_create_plist(dataset), "read the layout", path);
  const hdf5::Handle type(H5Dget_type(dataset), "read the layout", path);
  const hsize_t stored = H5Dget_storage_size(dataset);
  const hsize_t expansion = H5Pget_nfilters(create) > 0 ? kMaxExpansion : 1;
  return stored <= std::filesystem::file_size(path) &&
         shape[0] <= stored * expansion / (shape[1] * H5Tget_size(type));
}

}  // namespace

struct ActivationReader::Impl {
  std::filesystem::path path;
  hdf5::Handle file;
  ActivationOrigin origin;
  ActivationLayout layout;
  std::vector<std::string> hooks;
  std::vector<ActivationShard> shards;  // empty where the file holds its rows itself

  void ReadHooks();
};

void ActivationReader::Impl::ReadHooks() {
  const hdf5::Handle group(H5Gopen2(file, "/activations", H5P_DEFAULT), "open /activations",
                           path.string());
  H5G_info_t info;
  hdf5::Check(H5Gget_info(group, &info), "read /activations", path.string());
  for (hsize_t i = 0; i < info.nlinks; ++i) {
    const ssize_t length =
        H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, nullptr, 0, H5P_DEFAULT);
    if (length <= 0) throw hdf5::Damaged(path.string(), "a dataset without a name");
    std::string name(length, '\0');
    H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name.data(), length + 1,
                       H5P_DEFAULT);
    const hdf5::Handle dataset(H5Dopen2(group, name.c_str(), H5P_DEFAULT), "open dataset " + name,
                               path.string());
    const auto shape = hdf5::Shape(dataset, 2, path.string() + ", " + name);
    if (shape[0] != layout.n_rows() || shape[1] != static_cast<hsize_t>(origin.d_model)) {
      throw hdf5::Damaged(path.string(), name + " has shape [" + std::to_string(shape[0]) + ", " +
                                             std::to_string(shape[1]) + "]");
    }
    std::vector<ActivationShard> found =
        ShardsOf(dataset, "/activations/" + name, path, layout.n_rows(), shape[1]);
    if (found.empty() && !HoldsRows(dataset, shape, path.string())) {
      throw hdf5::Damaged(path.string(), name + " claims more rows than the file can hold");
    }
    if (hooks.empty()) shards = found;
    if (found != shards) throw hdf5::Damaged(path.string(), name + " lies in shards of its own");
    hooks.push_back(std::move(name));
  }
  for (const ActivationShard& shard : shards) CheckShard(path, shard, origin, layout, hooks);
  std::sort(hooks.begin(), hooks.end(), [](const std::string& a, const std::string& b) {
    return ParseHookName(a) < ParseHookName(b);
  });
}

ActivationReader::ActivationReader(const std::filesystem::path& path)
    : impl_(std::make_unique<Impl>()) {
  hdf5::Initialize();
  impl_->path = path;
  const std::string name = path.string();
  if (!std::filesystem::exists(path)) {
    throw Error("cannot open activation file").At(name).Found("no such file");
  }
  impl_->file = hdf5::Handle(H5Fopen(name.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT),
                             "open activation file", name);
  const hid_t file = impl_->file;
  if (!hdf5::HasAttribute(file, "format") ||
      hdf5::ReadStringAttribute(file, "format", name) != "extrospect.activations") {
    throw Error("this is not an activation file")
        .At(name)
        .Expected("an HDF5 file with the attribute format=\"extrospect.activations\"")
        .Hint("activation files are made by 'extrospect extract'");
  }
  const int64_t version = hdf5::ReadIntAttribute(file, "format_version", name);
  if (version != 1) {
    throw Error("unknown version of an activation file")
        .At(name)
        .Expected("format_version 1")
        .Found(std::to_string(version));
  }
  if (hdf5::ReadIntAttribute(file, "complete", name) != 1) {
    throw Error("the activation file is incomplete")
        .At(name)
        .Expected("complete=1")
        .Hint("finish it by running 'extrospect extract' again with --resume");
  }
  ActivationOrigin& origin = impl_->origin;
  const auto text = [&](const char* key) { return hdf5::ReadStringAttribute(file, key, name); };
  origin.model_name = text("model_name");
  origin.model_sha256 = text("model_sha256");
  origin.architecture = text("architecture");
  origin.n_layers = hdf5::ReadIntAttribute(file, "n_layers", name);
  origin.d_model = hdf5::ReadIntAttribute(file, "d_model", name);
  origin.tokenizer_sha256 = text("tokenizer_sha256");
  origin.chat_template_sha256 = text("chat_template_sha256");
  origin.compute_dtype = text("compute_dtype");
  origin.layer_convention = text("layer_convention");
  origin.config = text("config");
  origin.created_by = text("created_by");
  if (origin.d_model <= 0 || origin.d_model > (1 << 24)) {
    throw hdf5::Damaged(name, "d_model " + std::to_string(origin.d_model));
  }
  impl_->layout = hdf5::ReadLayout(file, name);
  impl_->ReadHooks();
}

ActivationReader::~ActivationReader() = default;
ActivationReader::ActivationReader(ActivationReader&&) noexcept = default;
ActivationReader& ActivationReader::operator=(ActivationReader&&) noexcept = default;

const std::filesystem::path& ActivationReader::path() const { return impl_->path; }
const ActivationOrigin& ActivationReader::origin() const { return impl_->origin; }
const ActivationLayout& ActivationReader::layout() const { return impl_->layout; }
const std::vector<std::string>& ActivationReader::hooks() const { return impl_->hooks; }

bool ActivationReader::HasHook(const std::string& hook) const {
  return std::find(impl_->hooks.begin(), impl_->hooks.end(), hook) != impl_->hooks.end();
}

void ActivationReader::Read(const std::string& hook, uint64_t first_row, uint64_t count,
                            std::span<float> out) const {
  const std::string where = impl_->path.string() + ", " + hook;
  if (!HasHook(hook)) {
    throw Error("the activation file does not hold this layer")
        .At(impl_->path.string())
        .Expected(hook)
        .Found(Join(impl_->hooks))
        .Hint("extract again with --layers that include it");
  }
  const auto d_model = static_cast<uint64_t>(impl_->origin.d_model);
  if (first_row + count > impl_->layout.n_rows() || out.size() != count * d_model) {
    throw Error("rows outside the activation file were asked for").At(where);
  }
  // No cache of chunks: with one, a few rows cost a whole chunk, and nothing is read twice anyway.
  const hdf5::Handle access(H5Pcreate(H5P_DATASET_ACCESS), "read activations", where);
  hdf5::Check(H5Pset_chunk_cache(access, 0, 0, H5D_CHUNK_CACHE_W0_DEFAULT), "read activations",
              where);
  const hdf5::Handle dataset(H5Dopen2(impl_->file, ("/activations/" + hook).c_str(), access),
                             "open dataset", where);
  const hdf5::Handle stored(H5Dget_type(dataset), "read activations", where);
  const hdf5::Handle bfloat16 = hdf5::BFloat16Type();
  // bfloat16 is widened here: HDF5's own conversion of a type that it does not know is slow.
  const bool widen = H5Tequal(stored, bfloat16) > 0;
  std::vector<uint16_t> halves;
  for (uint64_t done = 0; done < count;) {
    const uint64_t rows = std::min(kReadRows, count - done);
    const std::vector<hsize_t> sizes = {rows, d_model};
    const hdf5::Handle selected = hdf5::SelectRows(dataset, first_row + done, rows, where);
    const hdf5::Handle memory(H5Screate_simple(2, sizes.data(), nullptr), "make a dataspace",
                              where);
    float* const to = out.data() + done * d_model;
    if (widen) {
      halves.resize(rows * d_model);
      hdf5::Check(H5Dread(dataset, bfloat16, memory, selected, H5P_DEFAULT, halves.data()),
                  "read activations", where);
      for (size_t i = 0; i < halves.size(); ++i) {
        const uint32_t bits = static_cast<uint32_t>(halves[i]) << 16;
        std::memcpy(to + i, &bits, sizeof bits);
      }
    } else {
      hdf5::Check(H5Dread(dataset, H5T_NATIVE_FLOAT, memory, selected, H5P_DEFAULT, to),
                  "read activations", where);
    }
    done += rows;
  }
}

}  // namespace extrospect
