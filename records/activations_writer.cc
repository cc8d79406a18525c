#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "records/activations.h"
#include "records/hdf5.h"

namespace extrospect {
namespace {

// Rows of one chunk: about this many bytes.
constexpr uint64_t kChunkBytes = 1 << 20;
constexpr int64_t kFormatVersion = 1;

hdf5::Handle StoredType(StoreType type) {
  switch (type) {
    case StoreType::kBFloat16:
      return hdf5::BFloat16Type();
    case StoreType::kFloat16:
      return hdf5::Float16Type();
    default:
      return hdf5::Handle(H5Tcopy(H5T_IEEE_F32LE), "make a type", "HDF5");
  }
}

// Laid out at once: space for every chunk is taken when the dataset is created, no fill values.
hdf5::Handle CreateDataset(hid_t file, const std::string& name, hid_t type,
                           const std::vector<hsize_t>& sizes, hsize_t chunk_rows) {
  std::vector<hsize_t> limits = sizes, chunk = sizes;
  limits[0] = H5S_UNLIMITED;
  chunk[0] = std::max<hsize_t>(1, std::min(chunk_rows, std::max<hsize_t>(sizes[0], 1)));
  const int rank = static_cast<int>(sizes.size());
  const hdf5::Handle space(H5Screate_simple(rank, sizes.data(), limits.data()), "make a dataspace",
                           name);
  const hdf5::Handle create(H5Pcreate(H5P_DATASET_CREATE), "make a property list", name);
  H5Pset_chunk(create, rank, chunk.data());
  H5Pset_alloc_time(create, H5D_ALLOC_TIME_EARLY);
  if (H5Tget_class(type) != H5T_STRING) H5Pset_fill_time(create, H5D_FILL_TIME_NEVER);
  const hdf5::Handle link(H5Pcreate(H5P_LINK_CREATE), "make a property list", name);
  H5Pset_create_intermediate_group(link, 1);
  return hdf5::Handle(H5Dcreate2(file, name.c_str(), type, space, link, create, H5P_DEFAULT),
                      "create dataset", name);
}

template <typename T>
void WriteColumn(hid_t file, const std::string& name, hid_t type, const std::vector<T>& values) {
  const hdf5::Handle dataset = CreateDataset(file, name, type, {values.size()}, 1 << 16);
  if (values.empty()) return;
  hdf5::Check(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()),
              "write dataset", name);
}

void WriteStrings(hid_t file, const std::string& name, const std::vector<const char*>& values) {
  const hdf5::Handle type = hdf5::StringType();
  WriteColumn(file, name, type, values);
}

}  // namespace

int64_t BytesOf(StoreType type) { return type == StoreType::kFloat32 ? 4 : 2; }

struct ActivationWriter::Impl {
  std::string path;
  hdf5::Handle file, type, done;
  std::vector<hdf5::Handle> datasets;
  int64_t row_bytes = 0;

  void Create(const ActivationOrigin& origin, const ActivationLayout& layout,
              const std::vector<std::string>& hooks);
  void Open(const ActivationOrigin& origin, const ActivationLayout& layout,
            const std::vector<std::string>& hooks);
  // All that was written so far is on disk afterwards.
  void Sync() {
    hdf5::Check(H5Fflush(file, H5F_SCOPE_GLOBAL), "write activations", path);
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    ::fdatasync(fd);
    ::close(fd);
  }
};

void ActivationWriter::Impl::Create(const ActivationOrigin& origin, const ActivationLayout& layout,
                                    const std::vector<std::string>& hooks) {
  file = hdf5::Handle(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT),
                      "create activation file", path);
  hdf5::WriteAttribute(file, "format", "extrospect.activations");
  hdf5::WriteAttribute(file, "format_version", kFormatVersion);
  hdf5::WriteAttribute(file, "complete", 0);
  hdf5::WriteAttribute(file, "model_name", origin.model_name);
  hdf5::WriteAttribute(file, "model_sha256", origin.model_sha256);
  hdf5::WriteAttribute(file, "architecture", origin.architecture);
  hdf5::WriteAttribute(file, "n_layers", origin.n_layers);
  hdf5::WriteAttribute(file, "d_model", origin.d_model);
  hdf5::WriteAttribute(file, "tokenizer_sha256", origin.tokenizer_sha256);
  hdf5::WriteAttribute(file, "chat_template_sha256", origin.chat_template_sha256);
  hdf5::WriteAttribute(file, "compute_dtype", origin.compute_dtype);
  hdf5::WriteAttribute(file, "layer_convention", origin.layer_convention);
  hdf5::WriteAttribute(file, "config", origin.config);
  hdf5::WriteAttribute(file, "created_by", origin.created_by);

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
  WriteColumn(file, "/transcripts/done", H5T_NATIVE_UINT8,
              std::vector<uint8_t>(layout.transcripts.size(), 0));
  const auto d_model = static_cast<hsize_t>(origin.d_model);
  const hsize_t chunk_rows = std::max<hsize_t>(1, kChunkBytes / row_bytes);
  for (const std::string& hook : hooks) {
    CreateDataset(file, "/activations/" + hook, type, {layout.n_rows(), d_model}, chunk_rows);
  }
}

void ActivationWriter::Impl::Open(const ActivationOrigin& origin, const ActivationLayout& layout,
                                  const std::vector<std::string>& hooks) {
  file =
      hdf5::Handle(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), "open activation file", path);
  const auto refuse = [this](const std::string& what, const std::string& expected,
                             const std::string& found) {
    return Error("the file to resume belongs to another run: " + what + " differs")
        .At(path)
        .Expected(expected)
        .Found(found)
        .Hint("run with the same flags as before, or without --resume to start over");
  };
  for (const auto& [name, value] :
       {std::pair<const char*, const std::string*>{"model_sha256", &origin.model_sha256},
        {"tokenizer_sha256", &origin.tokenizer_sha256},
        {"chat_template_sha256", &origin.chat_template_sha256},
        {"config", &origin.config}}) {
    const std::string found = hdf5::ReadStringAttribute(file, name, path);
    if (found != *value) throw refuse(name, *value, found);
  }
  const hdf5::Handle rows(H5Dopen2(file, "/rows/token_id", H5P_DEFAULT), "open dataset", path);
  std::vector<int32_t> tokens(hdf5::Shape(rows, 1, path)[0]);
  hdf5::Check(H5Dread(rows, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, tokens.data()),
              "read dataset", path);
  if (tokens != layout.token_id) throw refuse("transcripts", "the same tokens", "others");
  for (const std::string& hook : hooks) {
    if (H5Lexists(file, ("/activations/" + hook).c_str(), H5P_DEFAULT) <= 0) {
      throw refuse("hooks", hook, "no such dataset");
    }
  }
}

ActivationWriter::ActivationWriter(const std::filesystem::path& path,
                                   const ActivationOrigin& origin, const ActivationLayout& layout,
                                   const std::vector<std::string>& hooks, StoreType store,
                                   bool resume)
    : impl_(std::make_unique<Impl>()) {
  hdf5::SilenceErrors();
  impl_->path = path.string();
  impl_->type = StoredType(store);
  impl_->row_bytes = origin.d_model * BytesOf(store);
  if (resume && std::filesystem::exists(path)) {
    impl_->Open(origin, layout, hooks);
    complete_ = hdf5::ReadIntAttribute(impl_->file, "complete", impl_->path) == 1;
  } else {
    // Under another name until it is laid out, so that a kill meanwhile leaves nothing half-made.
    const std::string final_path = std::exchange(impl_->path, path.string() + ".partial");
    impl_->Create(origin, layout, hooks);
    impl_->Sync();
    impl_->file = hdf5::Handle();
    std::filesystem::rename(impl_->path, final_path);
    impl_->path = final_path;
    impl_->file = hdf5::Handle(H5Fopen(impl_->path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT),
                               "open activation file", impl_->path);
  }
  // No chunk cache: rows go straight to their place in the file, in the order of the calls.
  const hdf5::Handle access(H5Pcreate(H5P_DATASET_ACCESS), "make a property list", impl_->path);
  H5Pset_chunk_cache(access, 0, 0, 0.0);
  for (const std::string& hook : hooks) {
    impl_->datasets.emplace_back(H5Dopen2(impl_->file, ("/activations/" + hook).c_str(), access),
                                 "open dataset " + hook, impl_->path);
  }
  done_.assign(layout.transcripts.size(), complete_ ? 1 : 0);
  if (complete_) return;
  impl_->done = hdf5::Handle(H5Dopen2(impl_->file, "/transcripts/done", access),
                             "open dataset done", impl_->path);
  if (!done_.empty()) {
    hdf5::Check(H5Dread(impl_->done, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, done_.data()),
                "read dataset done", impl_->path);
  }
}

ActivationWriter::~ActivationWriter() = default;

void ActivationWriter::Write(size_t hook, uint64_t first_row, std::span<const std::byte> data) {
  if (data.empty()) return;
  const hid_t dataset = impl_->datasets[hook];
  const std::vector<hsize_t> sizes = {data.size() / impl_->row_bytes,
                                      hdf5::Shape(dataset, 2, impl_->path)[1]};
  const hdf5::Handle rows = hdf5::SelectRows(dataset, first_row, sizes[0], impl_->path);
  const hdf5::Handle memory(H5Screate_simple(2, sizes.data(), nullptr), "make a dataspace",
                            impl_->path);
  hdf5::Check(H5Dwrite(dataset, impl_->type, memory, rows, H5P_DEFAULT, data.data()),
              "write activations", impl_->path);
}

void ActivationWriter::MarkDone(std::span<const uint32_t> transcripts) {
  for (const uint32_t transcript : transcripts) {
    done_[transcript] = 1;
    const uint8_t one = 1;
    const hsize_t size = 1;
    const hdf5::Handle rows = hdf5::SelectRows(impl_->done, transcript, 1, impl_->path);
    const hdf5::Handle memory(H5Screate_simple(1, &size, nullptr), "make a dataspace", impl_->path);
    hdf5::Check(H5Dwrite(impl_->done, H5T_NATIVE_UINT8, memory, rows, H5P_DEFAULT, &one),
                "write activations", impl_->path);
  }
}

void ActivationWriter::Finish() {
  if (complete_) return;
  if (std::find(done_.begin(), done_.end(), 0) != done_.end()) {
    throw Error("an activation file cannot be finished before all its rows are written")
        .At(impl_->path);
  }
  impl_->done = hdf5::Handle();
  impl_->Sync();
  hdf5::Check(H5Ldelete(impl_->file, "/transcripts/done", H5P_DEFAULT), "finish activation file",
              impl_->path);
  hdf5::WriteAttribute(impl_->file, "complete", 1);
  impl_->Sync();
  complete_ = true;
}

}  // namespace extrospect
