// Tensors of a GGUF file under their Hugging Face names, with the conversions undone that the
// converter made.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <string_view>

#include "base/error.h"
#include "model/dequantize.h"
#include "model/gguf.h"
#include "model/weights.h"

namespace extrospect {
namespace {

// Elements that are converted at a time: a multiple of every type's block, small enough to stay in
// a core's cache.
constexpr int64_t kPieceElements = 1 << 14;

struct NamePair {
  std::string_view hugging_face, gguf;
};

constexpr std::array kTopNames = {
    NamePair{"model.embed_tokens.weight", "token_embd.weight"},
    NamePair{"model.norm.weight", "output_norm.weight"},
    NamePair{"lm_head.weight", "output.weight"},
};

// Within "model.layers.K." and "blk.K.".
constexpr std::array kBlockNames = {
    NamePair{"input_layernorm.weight", "attn_norm.weight"},
    NamePair{"post_attention_layernorm.weight", "ffn_norm.weight"},
    NamePair{"self_attn.q_proj.weight", "attn_q.weight"},
    NamePair{"self_attn.k_proj.weight", "attn_k.weight"},
    NamePair{"self_attn.v_proj.weight", "attn_v.weight"},
    NamePair{"self_attn.q_proj.bias", "attn_q.bias"},
    NamePair{"self_attn.k_proj.bias", "attn_k.bias"},
    NamePair{"self_attn.v_proj.bias", "attn_v.bias"},
    NamePair{"self_attn.o_proj.weight", "attn_output.weight"},
    NamePair{"mlp.gate_proj.weight", "ffn_gate.weight"},
    NamePair{"mlp.up_proj.weight", "ffn_up.weight"},
    NamePair{"mlp.down_proj.weight", "ffn_down.weight"},
};

std::string GgufName(std::string_view name) {
  for (const NamePair& pair : kTopNames) {
    if (name == pair.hugging_face) return std::string(pair.gguf);
  }
  constexpr std::string_view kPrefix = "model.layers.";
  if (name.starts_with(kPrefix)) {
    const std::string_view rest = name.substr(kPrefix.size());
    const size_t dot = rest.find('.');
    for (const NamePair& pair : kBlockNames) {
      if (rest.substr(dot + 1) == pair.hugging_face) {
        return "blk." + std::string(rest.substr(0, dot)) + "." + std::string(pair.gguf);
      }
    }
  }
  return std::string(name);
}

// Decodes a tensor into `out` in parallel pieces; returns whether every value is finite.
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

// Rows of rotated pairs back from neighbours (2i, 2i + 1) to halves (i, i + head_dim / 2).
void UndoRotaryPermutation(at::Tensor weight, int64_t n_heads) {
  const int64_t half = weight.size(0) / n_heads / 2;
  weight.copy_(
      weight.reshape({n_heads, half, 2, -1}).transpose(1, 2).reshape(weight.sizes()).clone());
}

class GgufTensors : public TensorSource {
 public:
  GgufTensors(const GgufFile& file, const Architecture& architecture)
      : file_(file), architecture_(architecture) {}

  bool Has(const std::string& name) const override {
    return file_.FindTensor(GgufName(name)) != nullptr;
  }

  void Load(const std::string& name, at::Tensor destination) const override {
    const TensorView& tensor = file_.GetTensor(GgufName(name));
    if (at::IntArrayRef(tensor.shape) != destination.sizes()) {
      throw Error("a tensor does not fit the architecture")
          .At(file_.name() + ", tensor " + tensor.name)
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
    if (!finite) {
      throw Error("a weight is not a finite number")
          .At(file_.name() + ", tensor " + tensor.name)
          .Hint("the file is damaged; fetch or convert it again");
    }
    if (architecture_.family == "llama") {
      if (name.find("self_attn.q_proj.") != name.npos) {
        UndoRotaryPermutation(destination, architecture_.n_heads);
      } else if (name.find("self_attn.k_proj.") != name.npos) {
        UndoRotaryPermutation(destination, architecture_.n_kv_heads);
      }
    }
  }

  std::vector<std::string> Names() const override {
    std::vector<std::string> names;
    for (const TensorView& tensor : file_.tensors()) names.push_back(tensor.name);
    return names;
  }

 private:
  const GgufFile& file_;
  const Architecture& architecture_;
};

}  // namespace

std::unique_ptr<TensorSource> OpenGgufTensors(const GgufFile& file,
                                              const Architecture& architecture) {
  return std::make_unique<GgufTensors>(file, architecture);
}

}  // namespace extrospect
