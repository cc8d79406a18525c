#include "model/files/gguf.h"

#include <limits>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "model/files/byte_reader.h"
#include "model/files/gguf_parser.h"
#include "model/files/quote.h"

namespace extrospect {
namespace {

std::string_view AsText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool IsInteger(GgufType type) {
  switch (type) {
    case GgufType::kFloat32:
    case GgufType::kFloat64:
    case GgufType::kBool:
    case GgufType::kString:
    case GgufType::kArray:
      return false;
    default:
      return true;
  }
}

bool IsBool(GgufType type) { return type == GgufType::kBool; }

bool IsFloat(GgufType type) { return type == GgufType::kFloat32 || type == GgufType::kFloat64; }

// Calls `visit` with a zero of the C++ type that holds a number of the given type.
template <typename Visitor>
auto VisitNumber(GgufType type, const Visitor& visit) {
  switch (type) {
    case GgufType::kInt8:
      return visit(int8_t{});
    case GgufType::kUint16:
      return visit(uint16_t{});
    case GgufType::kInt16:
      return visit(int16_t{});
    case GgufType::kUint32:
      return visit(uint32_t{});
    case GgufType::kInt32:
      return visit(int32_t{});
    case GgufType::kFloat32:
      return visit(float{});
    case GgufType::kUint64:
      return visit(uint64_t{});
    case GgufType::kInt64:
      return visit(int64_t{});
    case GgufType::kFloat64:
      return visit(double{});
    default:  // kUint8 and kBool; strings and arrays never come here
      return visit(uint8_t{});
  }
}

// The number at `address`, or nothing if `Result` cannot hold it.
template <typename Result>
std::optional<Result> LoadNumber(GgufType type, const std::byte* address) {
  return VisitNumber(type, [address](auto zero) -> std::optional<Result> {
    const auto number = LoadUnaligned<decltype(zero)>(address);
    if constexpr (std::is_integral_v<Result> && std::is_integral_v<decltype(zero)>) {
      if (!std::in_range<Result>(number)) return std::nullopt;
    }
    return static_cast<Result>(number);
  });
}

template <typename Result>
std::optional<std::vector<Result>> LoadNumbers(const GgufValue& value) {
  std::vector<Result> numbers(value.count);
  const size_t size = GgufScalarBytes(value.element_type);
  for (size_t i = 0; i < numbers.size(); ++i) {
    const auto number = LoadNumber<Result>(value.element_type, value.bytes.data() + i * size);
    if (!number) return std::nullopt;
    numbers[i] = *number;
  }
  return numbers;
}

std::string Describe(const GgufValue& value) {
  const std::string element(GgufTypeName(value.element_type));
  if (IsInteger(value.type)) {
    return VisitNumber(value.type, [&](auto zero) {
      return std::to_string(LoadUnaligned<decltype(zero)>(value.bytes.data()));
    });
  }
  if (value.type != GgufType::kArray) return "a value of type " + element;
  return "an array of " + std::to_string(value.count) + " values of type " + element;
}

}  // namespace

std::string_view GgufTypeName(GgufType type) {
  static constexpr std::string_view kNames[] = {"uint8",  "int8",    "uint16", "int16",  "uint32",
                                                "int32",  "float32", "bool",   "string", "array",
                                                "uint64", "int64",   "float64"};
  const auto number = static_cast<size_t>(type);
  return number < std::size(kNames) ? kNames[number] : "unknown";
}

GgufFile::GgufFile(const std::filesystem::path& path)
    : name_(path.string()), mapping_(path), contents_(ParseGguf(mapping_->bytes(), name_)) {}

GgufFile::GgufFile(std::span<const std::byte> bytes, std::string name)
    : name_(std::move(name)), contents_(ParseGguf(bytes, name_)) {}

const GgufValue* GgufFile::Find(std::string_view key) const {
  const auto found = contents_.metadata.find(key);
  return found == contents_.metadata.end() ? nullptr : &found->second;
}

Error GgufFile::MissingKey(std::string_view key) const {
  Error error("metadata is missing from the GGUF file");
  error.At(name_).Expected("key " + Quote(key)).Hint("convert the model again");
  return error;
}

Error GgufFile::WrongValue(std::string_view key, std::string expected,
                           const GgufValue& value) const {
  Error error("metadata of the GGUF file is of another kind");
  error.At(name_ + ", key " + Quote(key)).Expected(std::move(expected)).Found(Describe(value));
  return error;
}

template <typename T>
std::optional<T> GgufFile::FindNumber(std::string_view key, bool (*accepts)(GgufType),
                                      const char* expected) const {
  const GgufValue* const value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (!accepts(value->type)) throw WrongValue(key, expected, *value);
  const auto number = LoadNumber<T>(value->type, value->bytes.data());
  if (!number) throw WrongValue(key, expected, *value);
  return number;
}

template <typename T>
std::optional<std::vector<T>> GgufFile::FindNumbers(std::string_view key, bool (*accepts)(GgufType),
                                                    const char* expected) const {
  const GgufValue* const value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (value->type != GgufType::kArray || !accepts(value->element_type)) {
    throw WrongValue(key, expected, *value);
  }
  auto numbers = LoadNumbers<T>(*value);
  if (!numbers) throw WrongValue(key, expected, *value);
  return numbers;
}

std::optional<std::string> GgufFile::FindString(std::string_view key) const {
  const GgufValue* const value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (value->type != GgufType::kString) throw WrongValue(key, "a string", *value);
  return std::string(AsText(value->bytes));
}

std::optional<uint64_t> GgufFile::FindUint(std::string_view key) const {
  return FindNumber<uint64_t>(key, IsInteger, "an integer from 0 to 2^64 - 1");
}

std::optional<int64_t> GgufFile::FindInt(std::string_view key) const {
  return FindNumber<int64_t>(key, IsInteger, "an integer from -2^63 to 2^63 - 1");
}

std::optional<double> GgufFile::FindFloat(std::string_view key) const {
  return FindNumber<double>(key, IsFloat, "a floating-point number");
}

std::optional<bool> GgufFile::FindBool(std::string_view key) const {
  const auto number = FindNumber<uint8_t>(key, IsBool, "a boolean");
  if (!number) return std::nullopt;
  return *number != 0;
}

std::optional<std::vector<std::string_view>> GgufFile::FindStrings(std::string_view key) const {
  const GgufValue* const value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (value->type != GgufType::kArray || value->element_type != GgufType::kString) {
    throw WrongValue(key, "an array of strings", *value);
  }
  std::vector<std::string_view> strings;
  strings.reserve(value->count);
  const std::string_view text = AsText(value->bytes);
  for (size_t position = 0; strings.size() < value->count;) {
    const auto size = LoadUnaligned<uint64_t>(text.data() + position);
    strings.push_back(text.substr(position + sizeof(size), size));
    position += sizeof(size) + size;
  }
  return strings;
}

std::optional<std::vector<int64_t>> GgufFile::FindInts(std::string_view key) const {
  return FindNumbers<int64_t>(
      key, [](GgufType type) { return IsInteger(type) || IsBool(type); },
      "an array of integers from -2^63 to 2^63 - 1");
}

std::optional<std::vector<float>> GgufFile::FindFloats(std::string_view key) const {
  return FindNumbers<float>(key, IsFloat, "an array of floating-point numbers");
}

std::string GgufFile::GetString(std::string_view key) const {
  auto value = FindString(key);
  if (!value) throw MissingKey(key);
  return *std::move(value);
}

uint64_t GgufFile::GetUint(std::string_view key) const {
  auto value = FindUint(key);
  if (!value) throw MissingKey(key);
  return *std::move(value);
}

int64_t GgufFile::GetInt(std::string_view key) const {
  auto value = FindInt(key);
  if (!value) throw MissingKey(key);
  return *std::move(value);
}

double GgufFile::GetFloat(std::string_view key) const {
  auto value = FindFloat(key);
  if (!value) throw MissingKey(key);
  return *std::move(value);
}

bool GgufFile::GetBool(std::string_view key) const {
  auto value = FindBool(key);
  if (!value) throw MissingKey(key);
  return *std::move(value);
}

std::vector<std::string_view> GgufFile::GetStrings(std::string_view key) const {
  auto value = FindStrings(key);
  if (!value) throw MissingKey(key);
  return *std::move(value);
}

std::vector<int64_t> GgufFile::GetInts(std::string_view key) const {
  auto value = FindInts(key);
  if (!value) throw MissingKey(key);
  return *std::move(value);
}

std::vector<float> GgufFile::GetFloats(std::string_view key) const {
  auto value = FindFloats(key);
  if (!value) throw MissingKey(key);
  return *std::move(value);
}

const TensorView* GgufFile::FindTensor(std::string_view name) const {
  const auto found = contents_.tensor_index.find(name);
  return found == contents_.tensor_index.end() ? nullptr : &contents_.tensors[found->second];
}

void GgufFile::Release(const TensorView& tensor) const {
  if (mapping_) mapping_->Release(tensor.bytes);
}

const TensorView& GgufFile::GetTensor(std::string_view name) const {
  if (const TensorView* const tensor = FindTensor(name)) return *tensor;
  throw Error("tensor is missing from the GGUF file")
      .At(name_)
      .Expected("tensor " + Quote(name))
      .Found(std::to_string(contents_.tensors.size()) + " tensors of other names");
}

}  // namespace extrospect
