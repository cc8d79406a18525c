#include "model/weights/weight_file.h"

#include <ATen/ATen.h>

#include <cstring>

#include "base/error.h"

namespace extrospect {

at::Tensor LoadTensor(const SafetensorsFile& file, const std::string& name,
                      const std::vector<int64_t>& shape, at::Device device) {
  const TensorView view = file.Get(name);
  const std::string where = file.name() + ", tensor " + name;
  if (view.shape != shape) {
    throw Error("a tensor has the wrong shape")
        .At(where)
        .Expected(ShapeText(shape))
        .Found(ShapeText(view.shape));
  }
  const at::ScalarType stored = view.type == GgmlType::kF32   ? at::kFloat
                                : view.type == GgmlType::kF16 ? at::kHalf
                                                              : at::kBFloat16;
  at::Tensor tensor = at::empty(shape, at::TensorOptions(stored).device(at::kCPU));
  if (!view.bytes.empty()) {
    std::memcpy(tensor.mutable_data_ptr(), view.bytes.data(), view.bytes.size());
  }
  tensor = tensor.to(at::kFloat);
  if (!at::isfinite(tensor).all().item<bool>()) {
    throw Error("a tensor holds a value that is not finite").At(where);
  }
  return tensor.to(device);
}

void SaveTensors(const std::filesystem::path& path,
                 const std::map<std::string, at::Tensor>& tensors,
                 const std::map<std::string, std::string>& metadata) {
  std::vector<at::Tensor> kept;  // keeps the bytes alive
  std::vector<TensorView> views;
  for (const auto& [name, tensor] : tensors) {
    kept.push_back(tensor.detach().to(at::kCPU, at::kFloat).contiguous());
    const at::Tensor& plain = kept.back();
    views.push_back({name,
                     GgmlType::kF32,
                     plain.sizes().vec(),
                     {static_cast<const std::byte*>(plain.const_data_ptr()), plain.nbytes()}});
  }
  WriteSafetensors(path, views, metadata);
}

}  // namespace extrospect
