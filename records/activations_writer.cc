#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "records/activations.h"
#include "records/activations_layout.h"
#include "records/hdf5.h"

namespace extrospect {
namespace {

// Rows of one chunk: about this many bytes.
constexpr uint64_t kChunkBytes = 1 << 20;

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
};

void ActivationWriter::Impl::Create(const ActivationOrigin& origin, const ActivationLayout& layout,
                                    const std::vector<std::string>& hooks) {
  file = hdf5::Handle(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT),
                      "create activation file", path);
  hdf5::WriteAttribute(file, "complete", 0);
  hdf5::WriteOrigin(file, origin);
  hdf5::WriteLayout(file, layout);
  const hdf5::Handle done_flags = hdf5::CreateDataset(file, "/transcripts/done", H5T_NATIVE_UINT8,
                                                      {layout.transcripts.size()}, 1 << 16);
  const std::vector<uint8_t> zeros(layout.transcripts.size(), 0);
  if (!zeros.empty()) {
    hdf5::Check(H5Dwrite(done_flags, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros.data()),
                "write dataset done", path);
  }
  const auto d_model = static_cast<hsize_t>(origin.d_model);
  const hsize_t chunk_rows = std::max<hsize_t>(1, kChunkBytes / row_bytes);
  for (const std::string& hook : hooks) {
    hdf5::CreateDataset(file, "/activations/" + hook, type, {layout.n_rows(), d_model}, chunk_rows);
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
        .Hint(
            "run with the same flags (and as many ranks) as before, or without --resume to start "
            "over");
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
  impl_->type = hdf5::StoredType(store);
  impl_->row_bytes = origin.d_model * BytesOf(store);
  if (resume && std::filesystem::exists(path)) {
    impl_->Open(origin, layout, hooks);
    complete_ = hdf5::ReadIntAttribute(impl_->file, "complete", impl_->path) == 1;
  } else {
    // Under another name until it is laid out, so that a kill meanwhile leaves nothing half-made.
    const std::string final_path = PlaceOfNewFile(path).string();
    impl_->path = final_path + ".partial";
    impl_->Create(origin, layout, hooks);
    hdf5::Sync(impl_->file, impl_->path);
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
  hdf5::Sync(impl_->file, impl_->path);
  hdf5::Check(H5Ldelete(impl_->file, "/transcripts/done", H5P_DEFAULT), "finish activation file",
              impl_->path);
  hdf5::WriteAttribute(impl_->file, "complete", 1);
  hdf5::Sync(impl_->file, impl_->path);
  complete_ = true;
}

}  // namespace extrospect
