#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "model/files/quote.h"
#include "model/files/safetensors.h"

namespace extrospect {
namespace {

constexpr size_t kPieceBytes = 1 << 20;

// The reference implementation's order of types. It has wider ones first; BF16 before F16 is its
// choice.
int Rank(const TensorView& tensor) {
  switch (tensor.type) {
    case GgmlType::kF32:
      return 0;
    case GgmlType::kBF16:
      return 1;
    case GgmlType::kF16:
      return 2;
    default:
      throw Error("type of tensor cannot be stored in a safetensors file")
          .At("tensor " + Quote(tensor.name))
          .Expected("F32, F16 or BF16")
          .Found(std::string(Info(tensor.type).name));
  }
}

void CheckTensors(std::span<const TensorView> tensors) {
  std::set<std::string_view> names;
  for (const TensorView& tensor : tensors) {
    if (tensor.name == kSafetensorsMetadataKey || !names.insert(tensor.name).second) {
      throw Error("name of tensor cannot be used in a safetensors file")
          .Expected(std::string("names that are unique and not ") + kSafetensorsMetadataKey)
          .Found(Quote(tensor.name));
    }
    const auto elements = CountElements(tensor.shape);
    Rank(tensor);
    if (!elements || CountBytes(tensor.type, *elements) != tensor.bytes.size()) {
      throw Error("size of tensor does not fit its shape")
          .At("tensor " + Quote(tensor.name))
          .Expected("the bytes of " + std::string(Info(tensor.type).name) + " " +
                    ShapeText(tensor.shape))
          .Found(std::to_string(tensor.bytes.size()) + " bytes");
    }
  }
}

// As a JSON string.
std::string JsonText(std::string_view text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    throw Error("name or metadata cannot be stored in a safetensors file")
        .Expected("UTF-8")
        .Found(Quote(text));
  }
}

std::string MakeHeader(const std::vector<const TensorView*>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  const auto separate = [&text] {
    if (!text.ends_with('{')) text += ',';
  };
  if (!metadata.empty()) {
    text += JsonText(kSafetensorsMetadataKey) + ":{";
    for (const auto& [key, value] : metadata) {
      separate();
      text += JsonText(key) + ":" + JsonText(value);
    }
    text += '}';
  }
  uint64_t end = 0;
  for (const TensorView* const tensor : tensors) {
    const uint64_t begin = end;
    end += tensor->bytes.size();
    separate();
    text += JsonText(tensor->name) + ":{\"dtype\":" + JsonText(Info(tensor->type).name) +
            ",\"shape\":" + nlohmann::json(tensor->shape).dump() + ",\"data_offsets\":[" +
            std::to_string(begin) + "," + std::to_string(end) + "]}";
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data is aligned
  return text;
}

}  // namespace

void WriteSafetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                      const std::map<std::string, std::string>& metadata) {
  CheckTensors(tensors);
  std::vector<const TensorView*> order;
  for (const TensorView& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const TensorView* a, const TensorView* b) {
    return std::pair(Rank(*a), std::string_view(a->name)) <
           std::pair(Rank(*b), std::string_view(b->name));
  });
  const std::string header = MakeHeader(order, metadata);
  if (header.size() > kMaxSafetensorsHeaderBytes) {
    throw Error("too many tensors for a safetensors file")
        .At(path.string())
        .Expected("a header of at most " + std::to_string(kMaxSafetensorsHeaderBytes) + " bytes")
        .Found(std::to_string(header.size()) + " bytes");
  }

  AtomicFile file(path);
  const uint64_t size = header.size();
  char length[sizeof(size)];
  std::memcpy(length, &size, sizeof(size));
  file.Write({length, sizeof(length)});
  file.Write(header);
  for (const TensorView* const tensor : order) {
    // In pieces, because AtomicFile holds what it is given in one call.
    const auto* const data = reinterpret_cast<const char*>(tensor->bytes.data());
    for (size_t done = 0; done < tensor->bytes.size(); done += kPieceBytes) {
      file.Write({data + done, std::min(kPieceBytes, tensor->bytes.size() - done)});
    }
  }
  file.Commit();
}

}  // namespace extrospect
