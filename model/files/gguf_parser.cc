#include "model/files/gguf_parser.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "model/files/byte_reader.h"
#include "model/files/quote.h"

namespace extrospect {
namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr uint32_t kLastVersion = 3;
constexpr uint32_t kMaxDimensions = 4;  // what ggml itself can hold
constexpr int kMaxArrayDepth = 4;
constexpr uint64_t kDefaultAlignment = 32;
constexpr char kAlignmentKey[] = "general.alignment";

// The least that a thing can take in the file, by which its count is judged.
constexpr uint64_t kMinStringBytes = 8;
constexpr uint64_t kMinArrayBytes = 4 + 8;
constexpr uint64_t kMinMetadataBytes = kMinStringBytes + 4 + 1;
constexpr uint64_t kMinTensorBytes = kMinStringBytes + 4 + 4 + 8;

std::string_view AsText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Types that files carry and this project does not read, so that a message can name them.
std::string TypeText(uint32_t number) {
  constexpr std::pair<uint32_t, const char*> kOthers[] = {
      {9, "Q8_1"},    {10, "Q2_K"},    {11, "Q3_K"},  {15, "Q8_K"},   {16, "IQ2_XXS"},
      {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"}, {20, "IQ4_NL"}, {21, "IQ3_S"},
      {22, "IQ2_S"},  {23, "IQ4_XS"},  {24, "I8"},    {25, "I16"},    {26, "I32"},
      {27, "I64"},    {28, "F64"},     {29, "IQ1_M"}, {34, "TQ1_0"},  {35, "TQ2_0"},
      {39, "MXFP4"}};
  const std::string text = "type " + std::to_string(number);
  for (const auto& [other, name] : kOthers) {
    if (other == number) return text + " (" + name + ")";
  }
  return text;
}

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, const std::string& file)
      : bytes_(bytes), reader_(bytes, file) {}

  GgufContents Parse() {
    contents_.version = ReadHeader();
    const auto tensors = reader_.Read<uint64_t>("the number of tensors");
    const auto values = reader_.Read<uint64_t>("the number of metadata values");
    reader_.CheckCount(tensors, kMinTensorBytes, "tensors");
    reader_.CheckCount(values, kMinMetadataBytes, "metadata values");
    for (uint64_t i = 0; i < values; ++i) ReadMetadata();
    const uint64_t alignment = Alignment();
    for (uint64_t i = 0; i < tensors; ++i) ReadTensorInfo(alignment);
    PlaceTensors(alignment);
    return std::move(contents_);
  }

 private:
  uint32_t ReadHeader() {
    if (bytes_.size() < 4 || LoadUnaligned<uint32_t>(bytes_.data()) != kMagic) {
      throw reader_.ErrorHere("not a GGUF file")
          .Expected("\"GGUF\" in the first four bytes")
          .Found(Quote(AsText(bytes_.first(std::min<size_t>(bytes_.size(), 4)))))
          .Hint("give a .gguf file or a Hugging Face directory");
    }
    reader_.Read<uint32_t>("the file type");
    const size_t start = reader_.position();
    const auto version = reader_.Read<uint32_t>("the version");
    if (version >= 2 && version <= kLastVersion) return version;
    const bool big_endian = (version & 0xffff) == 0;
    throw reader_.ErrorAt(start, "GGUF file of a version that cannot be read")
        .Expected("version 2 or 3, little-endian")
        .Found(big_endian ? "a big-endian file" : "version " + std::to_string(version))
        .Hint("convert the model again with a current converter, for little-endian machines");
  }

  std::string_view ReadString(const char* length, const char* characters) {
    const auto size = reader_.Read<uint64_t>(length);
    return AsText(reader_.Take(size, characters));
  }

  GgufType ReadType() {
    const size_t start = reader_.position();
    const auto number = reader_.Read<uint32_t>("a value's type");
    if (number <= static_cast<uint32_t>(GgufType::kFloat64)) return static_cast<GgufType>(number);
    throw reader_.ErrorAt(start, "unknown metadata type")
        .Expected("a type from 0 to 12")
        .Found("type " + std::to_string(number));
  }

  void ReadMetadata() {
    const size_t start = reader_.position();
    const std::string_view key = ReadString("the length of a key", "a key");
    reader_.SetSubject("key", key);
    const GgufType type = ReadType();
    GgufValue value{type, type, 1, {}};
    if (type == GgufType::kString) {
      const std::string_view text = ReadString("the length of a string", "a string");
      value.bytes = std::as_bytes(std::span(text));
    } else {
      if (type == GgufType::kArray) std::tie(value.element_type, value.count) = ReadArrayHead();
      const size_t elements = reader_.position();
      SkipElements(value.element_type, value.count, 1);
      value.bytes = bytes_.subspan(elements, reader_.position() - elements);
    }
    if (!contents_.metadata.emplace(key, value).second) {
      throw reader_.ErrorAt(start, "metadata key appears twice").Expected("every key once");
    }
    reader_.SetSubject("", "");
  }

  std::pair<GgufType, uint64_t> ReadArrayHead() {
    const GgufType type = ReadType();
    const auto count = reader_.Read<uint64_t>("the length of an array");
    return {type, count};
  }

  // Walks over the elements of an array (or a single value) and checks what can be wrong in them.
  // Takes time in proportion to the bytes walked over.
  void SkipElements(GgufType type, uint64_t count, int depth) {
    if (depth > kMaxArrayDepth) {
      throw reader_.ErrorHere("arrays nested too deeply")
          .Expected("at most " + std::to_string(kMaxArrayDepth) + " levels");
    }
    if (type == GgufType::kString) {
      reader_.CheckCount(count, kMinStringBytes, "strings in an array");
      for (uint64_t i = 0; i < count; ++i) ReadString("the length of a string", "a string");
    } else if (type == GgufType::kArray) {
      reader_.CheckCount(count, kMinArrayBytes, "arrays in an array");
      for (uint64_t i = 0; i < count; ++i) {
        const auto [inner_type, inner_count] = ReadArrayHead();
        SkipElements(inner_type, inner_count, depth + 1);
      }
    } else {
      const size_t size = GgufScalarBytes(type);
      reader_.CheckCount(count, size, "values in an array");
      const auto elements = reader_.Take(count * size, "values");
      if (type == GgufType::kBool) CheckBooleans(elements);
    }
  }

  void CheckBooleans(std::span<const std::byte> elements) {
    const auto wrong = std::find_if(elements.begin(), elements.end(),
                                    [](std::byte b) { return b > std::byte{1}; });
    if (wrong == elements.end()) return;
    throw reader_.ErrorHere("damaged boolean")
        .Expected("0 or 1")
        .Found(std::to_string(std::to_integer<int>(*wrong)));
  }

  uint64_t Alignment() {
    const auto found = contents_.metadata.find(kAlignmentKey);
    if (found == contents_.metadata.end()) return kDefaultAlignment;
    const GgufValue& value = found->second;
    const bool is_uint32 = value.type == GgufType::kUint32;
    const uint32_t alignment = is_uint32 ? LoadUnaligned<uint32_t>(value.bytes.data()) : 0;
    if (std::has_single_bit(alignment)) return alignment;
    reader_.SetSubject("key", kAlignmentKey);
    throw reader_.ErrorAt(value.bytes.data() - bytes_.data(), "impossible alignment")
        .Expected("a uint32 that is a power of two")
        .Found(is_uint32 ? std::to_string(alignment) : std::string(GgufTypeName(value.type)));
  }

  void ReadTensorInfo(uint64_t alignment) {
    const size_t start = reader_.position();
    TensorView tensor;
    const std::string_view name = ReadString("the length of a tensor's name", "a tensor's name");
    tensor.name = name;
    reader_.SetSubject("tensor", name);
    if (!contents_.tensor_index.emplace(name, contents_.tensors.size()).second) {
      throw reader_.ErrorAt(start, "tensor appears twice").Expected("every name once");
    }
    tensor.shape = ReadShape();
    tensor.type = ReadTensorType();
    const uint64_t size = TensorBytes(tensor);
    const auto offset = reader_.Read<uint64_t>("a tensor's offset");
    if (offset % alignment != 0) {
      throw reader_.ErrorHere("tensor is not aligned")
          .Expected("an offset that is a multiple of " + std::to_string(alignment))
          .Found(std::to_string(offset));
    }
    extents_.push_back({offset, size, contents_.tensors.size()});
    contents_.tensors.push_back(std::move(tensor));
    reader_.SetSubject("", "");
  }

  std::vector<int64_t> ReadShape() {
    const size_t start = reader_.position();
    const auto dimensions = reader_.Read<uint32_t>("the number of dimensions");
    if (dimensions > kMaxDimensions) {
      throw reader_.ErrorAt(start, "impossible tensor shape")
          .Expected("at most " + std::to_string(kMaxDimensions) + " dimensions")
          .Found(std::to_string(dimensions));
    }
    std::vector<int64_t> shape(dimensions);
    for (uint32_t i = 0; i < dimensions; ++i) {
      const auto size = reader_.Read<uint64_t>("a tensor's size");
      if (size == 0 || size > std::numeric_limits<int64_t>::max()) {
        throw reader_.ErrorAt(start, "impossible tensor shape")
            .Expected("sizes from 1 to 2^63 - 1")
            .Found(std::to_string(size));
      }
      shape[dimensions - 1 - i] = static_cast<int64_t>(size);  // the file has innermost first
    }
    if (!CountElements(shape)) {
      throw reader_.ErrorAt(start, "impossible tensor shape")
          .Expected("at most 2^63 - 1 elements")
          .Found(ShapeText(shape));
    }
    return shape;
  }

  GgmlType ReadTensorType() {
    const size_t start = reader_.position();
    const auto number = reader_.Read<uint32_t>("a tensor's type");
    if (const GgmlTypeInfo* const info = FindGgmlType(number)) return info->type;
    std::string names;
    for (const GgmlTypeInfo& info : AllGgmlTypes()) {
      names += (names.empty() ? "" : ", ") + std::string(info.name);
    }
    throw reader_.ErrorAt(start, "tensor of a type that cannot be read")
        .Expected(names)
        .Found(TypeText(number))
        .Hint("take the model in another quantisation, such as Q4_K_M or Q8_0");
  }

  uint64_t TensorBytes(const TensorView& tensor) const {
    const GgmlTypeInfo& info = Info(tensor.type);
    const int64_t columns = tensor.shape.empty() ? 1 : tensor.shape.back();
    const auto bytes = CountBytes(tensor.type, tensor.elements());
    if (columns % info.block_elements == 0 && bytes) return *bytes;
    throw reader_.ErrorHere("impossible tensor shape")
        .Expected("rows in whole blocks of " + std::to_string(info.block_elements) +
                  " elements, as " + std::string(info.name) + " stores them")
        .Found(ShapeText(tensor.shape));
  }

  // Once all is read the data section's place is known, and with it where each tensor lies.
  void PlaceTensors(uint64_t alignment) {
    if (extents_.empty()) return;
    const uint64_t padding = (alignment - reader_.position() % alignment) % alignment;
    reader_.Take(padding, "the padding before the tensor data");
    const auto data = bytes_.subspan(reader_.position());
    for (const Extent& extent : extents_) {
      TensorView& tensor = contents_.tensors[extent.tensor];
      if (extent.offset > data.size() || extent.size > data.size() - extent.offset) {
        reader_.SetSubject("tensor", tensor.name);
        throw reader_.ErrorHere("tensor lies outside the file")
            .Expected(std::to_string(extent.size) + " bytes from byte " +
                      std::to_string(extent.offset) + " of the data section")
            .Found("a data section of " + std::to_string(data.size()) + " bytes")
            .Hint("the file is cut short or damaged; download or copy it again");
      }
      tensor.bytes = data.subspan(extent.offset, extent.size);
    }
    CheckOverlaps();
  }

  // Tensors that share bytes are never written, and would let a small file ask for a lot of memory.
  void CheckOverlaps() {
    std::sort(extents_.begin(), extents_.end(),
              [](const Extent& a, const Extent& b) { return a.offset < b.offset; });
    for (size_t i = 1; i < extents_.size(); ++i) {
      const Extent& before = extents_[i - 1];
      if (before.offset + before.size <= extents_[i].offset) continue;
      reader_.SetSubject("tensor", contents_.tensors[extents_[i].tensor].name);
      throw reader_.ErrorHere("tensors overlap")
          .Expected("an offset of " + std::to_string(before.offset + before.size) +
                    " or more, after " + Quote(contents_.tensors[before.tensor].name))
          .Found(std::to_string(extents_[i].offset));
    }
  }

  struct Extent {
    uint64_t offset, size;  // bytes, within the data section
    size_t tensor;          // index in contents_.tensors
  };

  std::span<const std::byte> bytes_;
  ByteReader reader_;
  GgufContents contents_;
  std::vector<Extent> extents_;
};

}  // namespace

GgufContents ParseGguf(std::span<const std::byte> bytes, const std::string& file) {
  return Parser(bytes, file).Parse();
}

size_t GgufScalarBytes(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kInt8:
    case GgufType::kBool:
      return 1;
    case GgufType::kUint16:
    case GgufType::kInt16:
      return 2;
    case GgufType::kUint32:
    case GgufType::kInt32:
    case GgufType::kFloat32:
      return 4;
    case GgufType::kUint64:
    case GgufType::kInt64:
    case GgufType::kFloat64:
      return 8;
    case GgufType::kString:
    case GgufType::kArray:
      break;
  }
  return 0;
}

}  // namespace extrospect
