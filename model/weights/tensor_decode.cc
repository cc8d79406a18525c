#include "model/weights/tensor_decode.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <span>
#include <vector>

#include "base/error.h"
#include "model/files/dequantize.h"
#include "model/files/quote.h"

namespace extrospect {
namespace {

// Elements that are converted at a time: a multiple of every type's block, small enough to stay in
// a core's cache.
constexpr int64_t kPieceElements = 1 << 14;

// Returns whether every value is finite.
template <typename T>
bool Decode(const TensorView& tensor, T* out) {
  const GgmlTypeInfo& info = Info(tensor.type);
  const int64_t elements = tensor.elements();
  const int64_t pieces = (elements + kPieceElements - 1) / kPieceElements;
  std::atomic<bool> finite = true;
  at::parallel_for(0, pieces, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> piece(kPieceElements);
    for (int64_t p = begin; p < end; ++p) {
      const int64_t first = p * kPieceElements;
      const int64_t count = std::min(kPieceElements, elements - first);
      const auto bytes = tensor.bytes.subspan(first / info.block_elements * info.block_bytes,
                                              count / info.block_elements * info.block_bytes);
      Dequantize(tensor.type, bytes, std::span(piece).first(count));
      float sum = 0;  // NaN or infinite as soon as one value is
      for (int64_t i = 0; i < count; ++i) {
        sum += piece[i] * 0.0f;
        out[first + i] = static_cast<T>(piece[i]);
      }
      if (!std::isfinite(sum)) finite = false;
    }
  });
  return finite;
}

}  // namespace

void DecodeTensor(const TensorView& tensor, const at::Tensor& destination,
                  const std::string& where) {
  if (at::IntArrayRef(tensor.shape) != destination.sizes()) {
    throw Error("a tensor does not fit the architecture")
        .At(where + ", tensor " + Quote(tensor.name))
        .Expected("shape " + ShapeText(destination.sizes().vec()))
        .Found("shape " + ShapeText(tensor.shape));
  }
  bool finite = false;
  switch (destination.scalar_type()) {
    case at::kFloat:
      finite = Decode(tensor, destination.mutable_data_ptr<float>());
      break;
    case at::kDouble:
      finite = Decode(tensor, destination.mutable_data_ptr<double>());
      break;
    default:
      finite = Decode(tensor, destination.mutable_data_ptr<c10::BFloat16>());
  }
  if (finite) return;
  throw Error("a weight is not a finite number")
      .At(where + ", tensor " + Quote(tensor.name))
      .Hint("the file is damaged; fetch or convert it again");
}

}  // namespace extrospect
