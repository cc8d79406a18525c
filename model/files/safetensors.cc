#include "model/files/safetensors.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"
#include "model/files/byte_reader.h"
#include "model/files/json_events.h"
#include "model/files/quote.h"

namespace extrospect {
namespace {

constexpr size_t kMaxDimensions = 8;

// Bytes of an element; 0 for types that are not known, whose extent alone can be checked.
int64_t ElementBytes(std::string_view dtype) {
  static constexpr std::pair<std::string_view, int64_t> kSizes[] = {
      {"F32", 4},  {"F16", 2}, {"BF16", 2},    {"F64", 8},    {"I64", 8}, {"I32", 4},
      {"I16", 2},  {"I8", 1},  {"U64", 8},     {"U32", 4},    {"U16", 2}, {"U8", 1},
      {"BOOL", 1}, {"C64", 8}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};
  for (const auto& [name, size] : kSizes) {
    if (name == dtype) return size;
  }
  return 0;
}

std::optional<GgmlType> ReadableType(std::string_view dtype) {
  for (const GgmlType type : {GgmlType::kF32, GgmlType::kF16, GgmlType::kBF16}) {
    if (Info(type).name == dtype) return type;
  }
  return std::nullopt;
}

// One tensor of the header, before its place is known to exist.
struct HeaderEntry {
  std::optional<std::string> dtype;
  std::optional<std::vector<int64_t>> shape;
  std::optional<std::vector<int64_t>> data_offsets;  // begin and end, in the data section
};

// Collects the entries of a header. An object in the header's object is either a tensor, with
// fields of its own, or the metadata, with strings.
class HeaderEvents : public JsonEvents {
 public:
  std::map<std::string, HeaderEntry, std::less<>> entries;
  std::map<std::string, std::string> metadata;

  bool start_object(size_t size) override {
    if (depth_ == 2 || numbers_ != nullptr) return JsonEvents::start_object(size);
    ++depth_;
    return true;
  }

  bool end_object() override {
    if (--depth_ == 0 || entry_ == nullptr) return true;
    if (entry_->dtype && entry_->shape && entry_->data_offsets) return true;
    return Fail("dtype, shape and data_offsets", "fewer fields in tensor " + Quote(name_));
  }

  bool key(std::string& key) override {
    if (depth_ == 2) {
      field_ = std::move(key);
      return true;
    }
    name_ = std::move(key);
    field_.clear();
    if (name_ == kSafetensorsMetadataKey) {
      entry_ = nullptr;
      return !std::exchange(has_metadata_, true) || FailTwice();
    }
    const auto [entry, is_new] = entries.try_emplace(name_);
    entry_ = &entry->second;
    return is_new || FailTwice();
  }

  bool string(std::string& value) override {
    if (depth_ != 2 || numbers_ != nullptr) return JsonEvents::string(value);
    if (entry_ == nullptr) return metadata.emplace(field_, std::move(value)).second || FailTwice();
    if (field_ != "dtype") return JsonEvents::string(value);
    if (entry_->dtype) return FailTwice();
    entry_->dtype = std::move(value);
    return true;
  }

  bool start_array(size_t size) override {
    if (depth_ != 2 || entry_ == nullptr || numbers_ != nullptr ||
        (field_ != "shape" && field_ != "data_offsets")) {
      return JsonEvents::start_array(size);
    }
    auto& numbers = field_ == "shape" ? entry_->shape : entry_->data_offsets;
    if (numbers) return FailTwice();
    numbers_ = &numbers.emplace();
    return true;
  }

  bool end_array() override {
    numbers_ = nullptr;
    return true;
  }

  bool number_unsigned(uint64_t number) override {
    if (numbers_ == nullptr) return JsonEvents::number_unsigned(number);
    if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return Fail("numbers up to 2^63 - 1", std::to_string(number) + Context());
    }
    if (numbers_->size() == kMaxDimensions) {
      return Fail("at most " + std::to_string(kMaxDimensions) + " numbers", "more" + Context());
    }
    numbers_->push_back(static_cast<int64_t>(number));
    return true;
  }

 private:
  std::string Expectation() const override {
    if (depth_ == 0) return "an object of tensors";
    if (entry_ == nullptr) return "strings in an object as metadata";
    return R"({"dtype": "…", "shape": […], "data_offsets": [begin, end]})";
  }

  std::string Context() const override {
    return depth_ == 0 ? "" : " in " + Quote(name_) + (field_.empty() ? "" : ", " + Quote(field_));
  }

  bool FailTwice() { return Fail("every name once", "a second value" + Context()); }

  int depth_ = 0;  // objects that are open
  bool has_metadata_ = false;
  std::string name_;                         // the last key of the header, …
  HeaderEntry* entry_ = nullptr;             // … its tensor, null for the metadata, …
  std::string field_;                        // … and the last key in that
  std::vector<int64_t>* numbers_ = nullptr;  // the open array
};

// Where a tensor's data lies.
struct Extent {
  int64_t begin, end;
  const std::string* name;
};

// Checks an entry by itself and moves it out; what remains is whether the extents fit together.
SafetensorsEntry CheckEntry(const std::string& name, HeaderEntry& entry,
                            std::span<const std::byte> data, const std::string& file) {
  const auto fail = [&](const char* expected, const std::string& found) {
    throw Error("damaged tensor in safetensors file")
        .At(file + ", tensor " + Quote(name))
        .Expected(expected)
        .Found(found)
        .Hint("the file is cut short or damaged; download or copy it again");
  };
  const std::vector<int64_t>& offsets = *entry.data_offsets;
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    fail("data_offsets of [begin, end]", ShapeText(offsets));
  }
  if (static_cast<uint64_t>(offsets[1]) > data.size()) {
    fail("data_offsets within the file",
         ShapeText(offsets) + " in a data section of " + std::to_string(data.size()) + " bytes");
  }
  const auto elements = CountElements(*entry.shape);
  if (!elements) fail("at most 2^63 - 1 elements", "shape " + ShapeText(*entry.shape));
  const int64_t size = offsets[1] - offsets[0];
  const int64_t element_bytes = ElementBytes(*entry.dtype);
  if (element_bytes != 0 && (size % element_bytes != 0 || size / element_bytes != *elements)) {
    fail("as many bytes as the shape takes", std::to_string(size) + " bytes for " + *entry.dtype +
                                                 " of shape " + ShapeText(*entry.shape));
  }
  return {std::move(*entry.dtype), std::move(*entry.shape), data.subspan(offsets[0], size)};
}

// The extents must follow one another from the first byte of the data section to its last.
void CheckExtents(std::vector<Extent> extents, size_t data_size, const std::string& file) {
  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  int64_t end = 0;
  for (const Extent& extent : extents) {
    if (extent.begin != end) {
      throw Error(extent.begin < end ? "tensors overlap in safetensors file"
                                     : "gap between tensors in safetensors file")
          .At(file + ", tensor " + Quote(*extent.name))
          .Expected("data from byte " + std::to_string(end) + " of the data section")
          .Found("data from byte " + std::to_string(extent.begin));
    }
    end = extent.end;
  }
  if (static_cast<uint64_t>(end) != data_size) {
    throw Error("safetensors file has data of no tensor")
        .At(file)
        .Expected("a data section of " + std::to_string(end) + " bytes")
        .Found(std::to_string(data_size) + " bytes");
  }
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : name_(path.string()), mapping_(path) {
  Read(mapping_->bytes());
}

SafetensorsFile::SafetensorsFile(std::span<const std::byte> bytes, std::string name)
    : name_(std::move(name)) {
  Read(bytes);
}

void SafetensorsFile::Read(std::span<const std::byte> bytes) {
  ByteReader reader(bytes, name_);
  const auto size = reader.Read<uint64_t>("the length of the header");
  if (size > kMaxSafetensorsHeaderBytes) {
    throw reader.ErrorAt(0, "not a safetensors file")
        .Expected("a header of at most " + std::to_string(kMaxSafetensorsHeaderBytes) + " bytes")
        .Found("a length of " + std::to_string(size));
  }
  const auto header = reader.Take(size, "the header");
  const std::string_view text(reinterpret_cast<const char*>(header.data()), header.size());
  if (!text.starts_with('{')) {
    throw reader.ErrorAt(sizeof(size), "not a safetensors file")
        .Expected("a JSON object after the first eight bytes")
        .Found(Quote(text.substr(0, 1)));
  }
  HeaderEvents events;
  events.Parse(text, reader.ErrorAt(sizeof(size), "cannot read the header of safetensors file"));
  metadata_ = std::move(events.metadata);

  const auto data = bytes.subspan(reader.position());
  std::vector<Extent> extents;
  for (auto& [tensor, entry] : events.entries) {
    const auto& checked =
        entries_.emplace(tensor, CheckEntry(tensor, entry, data, name_)).first->second;
    const auto begin = checked.bytes.data() - data.data();
    extents.push_back({begin, begin + static_cast<int64_t>(checked.bytes.size()), &tensor});
  }
  CheckExtents(std::move(extents), data.size(), name_);
}

void SafetensorsFile::Release(std::string_view tensor) const {
  const auto found = entries_.find(tensor);
  if (mapping_ && found != entries_.end()) mapping_->Release(found->second.bytes);
}

std::optional<TensorView> SafetensorsFile::Find(std::string_view tensor) const {
  const auto found = entries_.find(tensor);
  if (found == entries_.end()) return std::nullopt;
  const SafetensorsEntry& entry = found->second;
  const auto type = ReadableType(entry.dtype);
  if (!type) {
    throw Error("tensor of a type that cannot be read")
        .At(name_ + ", tensor " + Quote(tensor))
        .Expected("F32, F16 or BF16")
        .Found(Quote(entry.dtype))
        .Hint("convert the model to bfloat16 or float32 first");
  }
  return TensorView{found->first, *type, entry.shape, entry.bytes};
}

TensorView SafetensorsFile::Get(std::string_view tensor) const {
  if (auto found = Find(tensor)) return *std::move(found);
  throw Error("tensor is missing from safetensors file")
      .At(name_)
      .Expected("tensor " + Quote(tensor))
      .Found(std::to_string(entries_.size()) + " tensors of other names");
}

}  // namespace extrospect
