// Tensors of a GGUF file under their Hugging Face names, with the conversions undone that the
// converter made.
#include <ATen/ATen.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/files/gguf.h"
#include "model/weights/tensor_decode.h"
#include "model/weights/weights.h"

namespace extrospect {
namespace {

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
    NamePair{"self_attn.q_proj.weight", "attn_q.weight"},
    NamePair{"self_attn.k_proj.weight", "attn_k.weight"},
    NamePair{"self_attn.v_proj.weight", "attn_v.weight"},
    NamePair{"self_attn.q_proj.bias", "attn_q.bias"},
    NamePair{"self_attn.k_proj.bias", "attn_k.bias"},
    NamePair{"self_attn.v_proj.bias", "attn_v.bias"},
    NamePair{"self_attn.o_proj.weight", "attn_output.weight"},
    NamePair{"self_attn.q_norm.weight", "attn_q_norm.weight"},
    NamePair{"self_attn.k_norm.weight", "attn_k_norm.weight"},
    NamePair{"mlp.gate_proj.weight", "ffn_gate.weight"},
    NamePair{"mlp.up_proj.weight", "ffn_up.weight"},
    NamePair{"mlp.down_proj.weight", "ffn_down.weight"},
    NamePair{"mlp.gate.weight", "ffn_gate_inp.weight"},
};
// The same name means the norm before the MLP where there is no other, and else the one after
// attention.
constexpr std::array kPreNormNames = {
    NamePair{"post_attention_layernorm.weight", "ffn_norm.weight"},
};
constexpr std::array kPostNormNames = {
    NamePair{"post_attention_layernorm.weight", "post_attention_norm.weight"},
    NamePair{"pre_feedforward_layernorm.weight", "ffn_norm.weight"},
    NamePair{"post_feedforward_layernorm.weight", "post_ffw_norm.weight"},
};
// Stacked over experts: "mlp.experts.E.gate_proj.weight" is matrix E of one tensor.
constexpr std::array kExpertNames = {
    NamePair{"gate_proj.weight", "ffn_gate_exps.weight"},
    NamePair{"up_proj.weight", "ffn_up_exps.weight"},
    NamePair{"down_proj.weight", "ffn_down_exps.weight"},
};
constexpr std::string_view kBlockPrefix = "model.layers.", kGgufBlockPrefix = "blk.";
constexpr std::string_view kExpertPrefix = "mlp.experts.";
// Read with the architecture.
constexpr std::string_view kRopeDivisors = "rope_freqs.weight";

// "K." and what follows it.
struct Split {
  std::string_view number, rest;
};
Split SplitAtDot(std::string_view text) {
  const size_t dot = text.find('.');
  if (dot == text.npos) return {text, {}};
  return {text.substr(0, dot), text.substr(dot + 1)};
}

std::string Join(std::string_view a, std::string_view b, std::string_view c, std::string_view d) {
  return std::string(a).append(b).append(c).append(d);
}

// Rows of rotated pairs back from neighbours (2i, 2i + 1) to halves (i, i + head_dim / 2), head by
// head in place: larger copies would leave holes in memory between the weights.
void UndoRotaryPermutation(const at::Tensor& weight, int64_t n_heads) {
  const int64_t head_rows = weight.size(0) / n_heads, half = head_rows / 2;
  const size_t row_bytes =
      static_cast<size_t>(weight.numel() / weight.size(0)) * weight.element_size();
  std::vector<std::byte> copy(static_cast<size_t>(head_rows) * row_bytes);
  auto* head = static_cast<std::byte*>(weight.mutable_data_ptr());
  for (int64_t h = 0; h < n_heads; ++h, head += copy.size()) {
    std::memcpy(copy.data(), head, copy.size());
    for (int64_t i = 0; i < half; ++i) {
      std::memcpy(head + i * row_bytes, copy.data() + 2 * i * row_bytes, row_bytes);
      std::memcpy(head + (half + i) * row_bytes, copy.data() + (2 * i + 1) * row_bytes, row_bytes);
    }
  }
}

class GgufTensors : public TensorSource {
 public:
  GgufTensors(const GgufFile& file, const Architecture& architecture)
      : file_(file),
        architecture_(architecture),
        // Of the supported architectures this one alone rotates neighbours. Mistral's files are of
        // it too.
        permuted_(file.FindString("general.architecture") == "llama") {}

  void Load(const std::string& name, const at::Tensor& destination) const override {
    const Place place = Find(name);
    TensorView tensor = file_.GetTensor(place.tensor);
    if (place.expert) tensor = ExpertOf(tensor, *place.expert);
    DecodeTensor(tensor, destination, file_.name());
    file_.Release(tensor);
    if (!permuted_) return;
    if (name.find("self_attn.q_proj.") != name.npos) {
      UndoRotaryPermutation(destination, architecture_.n_heads);
    } else if (name.find("self_attn.k_proj.") != name.npos) {
      UndoRotaryPermutation(destination, architecture_.n_kv_heads);
    }
  }

  std::vector<std::string> Names() const override {
    std::vector<std::string> names;
    for (const TensorView& tensor : file_.tensors()) {
      if (tensor.name != kRopeDivisors) AddNames(tensor.name, names);
    }
    return names;
  }

  std::string where() const override { return file_.name(); }

 private:
  struct Place {
    std::string tensor;
    std::optional<int64_t> expert;
  };

  // Calls `visit` with every pair of block names that holds for this architecture.
  template <typename Visit>
  void ForBlockNames(Visit visit) const {
    for (const NamePair& pair : kBlockNames) visit(pair);
    if (architecture_.norm_placement == NormPlacement::kPre) {
      for (const NamePair& pair : kPreNormNames) visit(pair);
    } else {
      for (const NamePair& pair : kPostNormNames) visit(pair);
    }
  }

  Place Find(std::string_view name) const {
    for (const NamePair& pair : kTopNames) {
      if (name == pair.hugging_face) return {std::string(pair.gguf), {}};
    }
    if (!name.starts_with(kBlockPrefix)) return {std::string(name), {}};
    const auto [block, rest] = SplitAtDot(name.substr(kBlockPrefix.size()));
    Place place{std::string(name), {}};
    if (rest.starts_with(kExpertPrefix)) {
      const auto [expert, projection] = SplitAtDot(rest.substr(kExpertPrefix.size()));
      for (const NamePair& pair : kExpertNames) {
        if (projection != pair.hugging_face) continue;
        place.tensor = Join(kGgufBlockPrefix, block, ".", pair.gguf);
        place.expert = 0;
        std::from_chars(expert.data(), expert.data() + expert.size(), *place.expert);
      }
      return place;
    }
    ForBlockNames([&, block = block, rest = rest](const NamePair& pair) {
      if (rest == pair.hugging_face) place.tensor = Join(kGgufBlockPrefix, block, ".", pair.gguf);
    });
    return place;
  }

  // The names that one of the file's tensors answers to; its own if it is unknown.
  void AddNames(std::string_view tensor, std::vector<std::string>& names) const {
    for (const NamePair& pair : kTopNames) {
      if (tensor == pair.gguf) return names.emplace_back(pair.hugging_face), void();
    }
    const size_t before = names.size();
    if (tensor.starts_with(kGgufBlockPrefix)) {
      const auto [block, rest] = SplitAtDot(tensor.substr(kGgufBlockPrefix.size()));
      ForBlockNames([&, block = block, rest = rest](const NamePair& pair) {
        if (rest == pair.gguf) names.push_back(Join(kBlockPrefix, block, ".", pair.hugging_face));
      });
      for (const NamePair& pair : kExpertNames) {
        if (rest != pair.gguf) continue;
        for (int64_t expert = 0; expert < architecture_.experts.n_experts; ++expert) {
          names.push_back(Join(kBlockPrefix, block, ".", kExpertPrefix)
                              .append(std::to_string(expert) + ".")
                              .append(pair.hugging_face));
        }
      }
    }
    if (names.size() == before) names.emplace_back(tensor);
  }

  TensorView ExpertOf(const TensorView& stacked, int64_t expert) const {
    const int64_t n_experts = architecture_.experts.n_experts;
    if (stacked.shape.size() != 3 || stacked.shape[0] != n_experts) {
      throw Error("a tensor does not fit the architecture")
          .At(file_.name() + ", tensor " + stacked.name)
          .Expected("the matrices of " + std::to_string(n_experts) + " experts")
          .Found("shape " + ShapeText(stacked.shape));
    }
    const size_t bytes = stacked.bytes.size() / n_experts;
    return {stacked.name,
            stacked.type,
            {stacked.shape[1], stacked.shape[2]},
            stacked.bytes.subspan(expert * bytes, bytes)};
  }

  const GgufFile& file_;
  const Architecture& architecture_;
  const bool permuted_;
};

}  // namespace

std::unique_ptr<TensorSource> OpenGgufTensors(const GgufFile& file,
                                              const Architecture& architecture) {
  return std::make_unique<GgufTensors>(file, architecture);
}

}  // namespace extrospect
