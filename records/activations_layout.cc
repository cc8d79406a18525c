#include "records/activations_layout.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>

#include "base/file.h"

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

// The attributes of the root group, but for `complete`.
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

// The groups /rows and /transcripts.
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

template <typename T>
std::vector<T> ReadColumn(hid_t file, const std::string& name, hid_t type, uint64_t expected,
                          const std::string& path) {
  const Handle dataset(H5Dopen2(file, name.c_str(), H5P_DEFAULT), "open dataset " + name, path);
  const hsize_t size = Shape(dataset, 1, path + ", " + name)[0];
  if (size != expected) {
    throw Damaged(path, name + " has " + std::to_string(size) + " entries instead of " +
                            std::to_string(expected));
  }
  std::vector<T> values(size);
  if (size == 0) return values;
  Check(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()),
        "read dataset " + name, path);
  return values;
}

std::vector<std::string> ReadStrings(hid_t file, const std::string& name, uint64_t expected,
                                     const std::string& path) {
  const Handle dataset(H5Dopen2(file, name.c_str(), H5P_DEFAULT), "open dataset " + name, path);
  const Handle stored(H5Dget_type(dataset), "read dataset " + name, path);
  if (H5Tis_variable_str(stored) <= 0) throw Damaged(path, name + " does not hold strings");
  if (Shape(dataset, 1, path + ", " + name)[0] != expected) {
    throw Damaged(path, name + " has the wrong length");
  }
  std::vector<std::string> values;
  if (expected == 0) return values;
  const Handle type = StringType();
  std::vector<char*> texts(expected, nullptr);
  Check(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, texts.data()), "read dataset " + name,
        path);
  for (char* const text : texts) {
    values.emplace_back(text == nullptr ? "" : text);
    H5free_memory(text);
  }
  return values;
}

// The length of a one-dimensional dataset, bounded by what the file could hold.
uint64_t Length(hid_t file, const std::string& name, const std::string& path) {
  const Handle dataset(H5Dopen2(file, name.c_str(), H5P_DEFAULT), "open dataset " + name, path);
  const uint64_t length = Shape(dataset, 1, path + ", " + name)[0];
  if (length > std::filesystem::file_size(path)) {
    throw Damaged(path, name + " claims " + std::to_string(length) + " entries");
  }
  return length;
}

void ReadRows(hid_t file, const std::string& path, ActivationLayout& layout) {
  const uint64_t rows = Length(file, "/rows/transcript", path);
  layout.transcript = ReadColumn<uint32_t>(file, "/rows/transcript", H5T_NATIVE_UINT32, rows, path);
  layout.position = ReadColumn<uint32_t>(file, "/rows/position", H5T_NATIVE_UINT32, rows, path);
  if (H5Lexists(file, "/rows/first_position", H5P_DEFAULT) > 0) {
    layout.first_position =
        ReadColumn<uint32_t>(file, "/rows/first_position", H5T_NATIVE_UINT32, rows, path);
  }
  layout.token_id = ReadColumn<int32_t>(file, "/rows/token_id", H5T_NATIVE_INT32, rows, path);
  if (H5Lexists(file, "/rows/selection", H5P_DEFAULT) > 0) {
    layout.selection = ReadColumn<uint8_t>(file, "/rows/selection", H5T_NATIVE_UINT8, rows, path);
  }
}

void ReadTranscriptTable(hid_t file, const std::string& path, ActivationLayout& layout) {
  const uint64_t count = Length(file, "/transcripts/first_row", path);
  const auto ids = ReadStrings(file, "/transcripts/id", count, path);
  const auto lines = ReadStrings(file, "/transcripts/json", count, path);
  const auto first_rows =
      ReadColumn<uint64_t>(file, "/transcripts/first_row", H5T_NATIVE_UINT64, count, path);
  const auto n_rows =
      ReadColumn<uint32_t>(file, "/transcripts/n_rows", H5T_NATIVE_UINT32, count, path);
  const auto n_tokens =
      ReadColumn<uint32_t>(file, "/transcripts/n_tokens", H5T_NATIVE_UINT32, count, path);
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t rows = layout.n_rows();
    if (first_rows[i] > rows || n_rows[i] > rows - first_rows[i]) {
      throw Damaged(path, "transcript '" + ids[i] + "' points outside the rows");
    }
    layout.transcripts.push_back({ids[i], lines[i], first_rows[i], n_rows[i], n_tokens[i]});
  }
  for (const uint32_t transcript : layout.transcript) {
    if (transcript >= count) throw Damaged(path, "a row points outside the transcripts");
  }
}

}  // namespace

Error Damaged(const std::string& path, const std::string& what) {
  return Error("the activation file is damaged").At(path).Found(what);
}

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
  // The same run gives the same bytes, whenever it is.
  H5Pset_obj_track_times(create, false);
  if (H5Tget_class(type) != H5T_STRING) H5Pset_fill_time(create, H5D_FILL_TIME_NEVER);
  const Handle link(H5Pcreate(H5P_LINK_CREATE), "make a property list", name);
  H5Pset_create_intermediate_group(link, 1);
  return Handle(H5Dcreate2(file, name.c_str(), type, space, link, create, H5P_DEFAULT),
                "create dataset", name);
}

ActivationLayout ReadLayout(hid_t file, const std::string& path) {
  ActivationLayout layout;
  ReadRows(file, path, layout);
  ReadTranscriptTable(file, path, layout);
  return layout;
}

std::filesystem::path CreateActivationFile(const std::filesystem::path& path,
                                           const ActivationOrigin& origin,
                                           const ActivationLayout& layout, bool complete,
                                           const std::function<void(hid_t file)>& add_rows) {
  const std::filesystem::path place = PlaceOfNewFile(path);
  const std::string partial = place.string() + ".partial";
  try {
    {
      const Handle file(H5Fcreate(partial.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT),
                        "create activation file", partial);
      WriteAttribute(file, "complete", complete ? 1 : 0);
      WriteOrigin(file, origin);
      WriteLayout(file, layout);
      add_rows(file);
      Sync(file, partial);
    }
    std::filesystem::rename(partial, place);
  } catch (...) {
    std::error_code failed;
    std::filesystem::remove(partial, failed);
    throw;
  }
  return place;
}

void Sync(hid_t file, const std::string& path) {
  Check(H5Fflush(file, H5F_SCOPE_GLOBAL), "write activations", path);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  ::fdatasync(fd);
  ::close(fd);
}

}  // namespace extrospect::hdf5
