#include "records/activations_layout.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

namespace extrospect::hdf5 {
namespace {

constexpr int64_t kFormatVersion = 1;
constexpr hsize_t kColumnChunk = 1 << 16;

template <typename T>
void WriteColumn(hid_t file, const std::string& name, hid_t type, const std::vector<T>& values) {
  const Handle dataset = CreateDataset(file, name, type, {values.size()}, kColumnChunk);
  if (values.empty()) return;
  Check(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), "write dataset",
        name);
}

void WriteStrings(hid_t file, const std::string& name, const std::vector<const char*>& values) {
  const Handle type = StringType();
  WriteColumn(file, name, type, values);
}

}  // namespace

Handle StoredType(StoreType type) {
  switch (type) {
    case StoreType::kBFloat16:
      return BFloat16Type();
    case StoreType::kFloat16:
      return Float16Type();
    default:
      return Handle(H5Tcopy(H5T_IEEE_F32LE), "make a type", "HDF5");
  }
}

Handle CreateDataset(hid_t file, const std::string& name, hid_t type,
                     const std::vector<hsize_t>& sizes, hsize_t chunk_rows) {
  std::vector<hsize_t> limits = sizes, chunk = sizes;
  limits[0] = H5S_UNLIMITED;
  chunk[0] = std::max<hsize_t>(1, std::min(chunk_rows, std::max<hsize_t>(sizes[0], 1)));
  const int rank = static_cast<int>(sizes.size());
  const Handle space(H5Screate_simple(rank, sizes.data(), limits.data()), "make a dataspace", name);
  const Handle create(H5Pcreate(H5P_DATASET_CREATE), "make a property list", name);
  H5Pset_chunk(create, rank, chunk.data());
  H5Pset_alloc_time(create, H5D_ALLOC_TIME_EARLY);
  if (H5Tget_class(type) != H5T_STRING) H5Pset_fill_time(create, H5D_FILL_TIME_NEVER);
  const Handle link(H5Pcreate(H5P_LINK_CREATE), "make a property list", name);
  H5Pset_create_intermediate_group(link, 1);
  return Handle(H5Dcreate2(file, name.c_str(), type, space, link, create, H5P_DEFAULT),
                "create dataset", name);
}

void WriteOrigin(hid_t file, const ActivationOrigin& origin) {
  WriteAttribute(file, "format", "extrospect.activations");
  WriteAttribute(file, "format_version", kFormatVersion);
  WriteAttribute(file, "model_name", origin.model_name);
  WriteAttribute(file, "model_sha256", origin.model_sha256);
  WriteAttribute(file, "architecture", origin.architecture);
  WriteAttribute(file, "n_layers", origin.n_layers);
  WriteAttribute(file, "d_model", origin.d_model);
  WriteAttribute(file, "tokenizer_sha256", origin.tokenizer_sha256);
  WriteAttribute(file, "chat_template_sha256", origin.chat_template_sha256);
  WriteAttribute(file, "compute_dtype", origin.compute_dtype);
  WriteAttribute(file, "layer_convention", origin.layer_convention);
  WriteAttribute(file, "config", origin.config);
  WriteAttribute(file, "created_by", origin.created_by);
}

void WriteLayout(hid_t file, const ActivationLayout& layout) {
  WriteColumn(file, "/rows/transcript", H5T_NATIVE_UINT32, layout.transcript);
  WriteColumn(file, "/rows/position", H5T_NATIVE_UINT32, layout.position);
  if (!layout.first_position.empty()) {
    WriteColumn(file, "/rows/first_position", H5T_NATIVE_UINT32, layout.first_position);
  }
  WriteColumn(file, "/rows/token_id", H5T_NATIVE_INT32, layout.token_id);
  if (!layout.selection.empty()) {
    WriteColumn(file, "/rows/selection", H5T_NATIVE_UINT8, layout.selection);
  }
  std::vector<const char*> ids, lines;
  std::vector<uint64_t> first_rows;
  std::vector<uint32_t> n_rows, n_tokens;
  for (const auto& transcript : layout.transcripts) {
    ids.push_back(transcript.id.c_str());
    lines.push_back(transcript.json.c_str());
    first_rows.push_back(transcript.first_row);
    n_rows.push_back(transcript.n_rows);
    n_tokens.push_back(transcript.n_tokens);
  }
  WriteStrings(file, "/transcripts/id", ids);
  WriteStrings(file, "/transcripts/json", lines);
  WriteColumn(file, "/transcripts/first_row", H5T_NATIVE_UINT64, first_rows);
  WriteColumn(file, "/transcripts/n_rows", H5T_NATIVE_UINT32, n_rows);
  WriteColumn(file, "/transcripts/n_tokens", H5T_NATIVE_UINT32, n_tokens);
}

void Sync(hid_t file, const std::string& path) {
  Check(H5Fflush(file, H5F_SCOPE_GLOBAL), "write activations", path);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  ::fdatasync(fd);
  ::close(fd);
}

}  // namespace extrospect::hdf5
