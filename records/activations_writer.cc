#include <algorithm>

#include "base/error.h"
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

  // Makes the datasets that are filled later.
  void AddRows(hid_t to, const ActivationOrigin& origin, const ActivationLayout& layout,
               const std::vector<std::string>& hooks) const;
  void Open(const ActivationOrigin& origin, const ActivationLayout& layout,
            const std::vector<std::string>& hooks);
};

void ActivationWriter::Impl::AddRows(hid_t to, const ActivationOrigin& origin,
                                     const ActivationLayout& layout,
                                     const std::vector<std::string>& hooks) const {
  const hdf5::Handle done_flags = hdf5::CreateDataset(to, "/transcripts/done", H5T_NATIVE_UINT8,
                                                      {layout.transcripts.size()}, 1 << 16);
  const std::vector<uint8_t> zeros(layout.transcripts.size(), 0);
  if (!zeros.empty()) {
    hdf5::Check(H5Dwrite(done_flags, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros.data()),
                "write dataset done", path);
  }
  const auto d_model = static_cast<hsize_t>(origin.d_model);
  const hsize_t chunk_rows = std::max<hsize_t>(1, kChunkBytes / row_bytes);
  for (const std::string& hook : hooks) {
    hdf5::CreateDataset(to, "/activations/" + hook, type, {layout.n_rows(), d_model}, chunk_rows);
  }
}

void ActivationWriter::Impl::Open(const ActivationOrigin& origin, const ActivationLayout& layout,
                                  const std::vector<std::string>& hooks) {
  file =
      hdf5::Handle(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), "open activation file", path);
  const auto refuse = [this](const std::string& difference, const std::string& expected,
                             const std::string& found) {
    return Error("the file to resume belongs to another run: " + difference)
        .At(path)
        .Expected(expected)
        .Found(found)
        .Hint(
            "run with the same transcripts and flags (and as many ranks) as before, or without "
            "--resume to start over");
  };
  for (const auto& [name, value] :
       {std::pair<const char*, const std::string*>{"model_sha256", &origin.model_sha256},
        {"tokenizer_sha256", &origin.tokenizer_sha256},
        {"chat_template_sha256", &origin.chat_template_sha256},
        {"config", &origin.config}}) {
    const std::string found = hdf5::ReadStringAttribute(file, name, path);
    if (found != *value) throw refuse(std::string(name) + " differs", *value, found);
  }
  if (hdf5::ReadLayout(file, path) != layout) {
    throw refuse("transcripts differ", "the same transcripts and tokens", "others");
  }
  for (const std::string& hook : hooks) {
    if (H5Lexists(file, ("/activations/" + hook).c_str(), H5P_DEFAULT) <= 0) {
      throw refuse("hooks differ", hook, "no such dataset");
    }
  }
}

ActivationWriter::ActivationWriter(const std::filesystem::path& path,
                                   const ActivationOrigin& origin, const ActivationLayout& layout,
                                   const std::vector<std::string>& hooks, StoreType store,
                                   bool resume)
    : impl_(std::make_unique<Impl>()) {
  hdf5::Initialize();
  impl_->path = path.string();
  impl_->type = hdf5::StoredType(store);
  impl_->row_bytes = origin.d_model * BytesOf(store);
  if (resume && std::filesystem::exists(path)) {
    impl_->Open(origin, layout, hooks);
    complete_ = hdf5::ReadIntAttribute(impl_->file, "complete", impl_->path) == 1;
  } else {
    impl_->path =
        hdf5::CreateActivationFile(path, origin, layout, /*complete=*/false, [&](hid_t file) {
          impl_->AddRows(file, origin, layout, hooks);
        }).string();
    impl_->file = hdf5::Handle(H5Fopen(impl_->path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT),
                               "open activation file", impl_->path);
  }
  // No chunk cache: rows go straight to their place in the file, in the order of the calls.
  const hdf5::Handle access(H5Pcreate(H5P_DATASET_ACCESS), "make a property list", impl_->path);
  H5Pset_chunk_cache(access, 0, 0, 0.0);
  const std::vector<hsize_t> shape = {layout.n_rows(), static_cast<hsize_t>(origin.d_model)};
  for (const std::string& hook : hooks) {
    const hid_t dataset = impl_->datasets.emplace_back(
        H5Dopen2(impl_->file, ("/activations/" + hook).c_str(), access), "open dataset " + hook,
        impl_->path);
    const hdf5::Handle type(H5Dget_type(dataset), "open dataset " + hook, impl_->path);
    if (hdf5::Shape(dataset, 2, impl_->path) != shape || H5Tequal(type, impl_->type) <= 0) {
      throw hdf5::Damaged(impl_->path, hook + " has another shape or number type than its run");
    }
  }
  done_.assign(layout.transcripts.size(), complete_ ? 1 : 0);
  if (complete_) return;
  impl_->done = hdf5::Handle(H5Dopen2(impl_->file, "/transcripts/done", access),
                             "open dataset done", impl_->path);
  if (hdf5::Shape(impl_->done, 1, impl_->path)[0] != done_.size()) {
    throw hdf5::Damaged(impl_->path, "/transcripts/done has the wrong length");
  }
  if (!done_.empty()) {
    hdf5::Check(H5Dread(impl_->done, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, done_.data()),
                "read dataset done", impl_->path);
  }
}

ActivationWriter::~ActivationWriter() = default;

void ActivationWriter::Write(size_t hook, uint64_t first_row, std::span<const std::byte> data) {
  if (data.empty()) return;
  hdf5::Initialize();  // perhaps in a thread of its own
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
  hdf5::Initialize();
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
