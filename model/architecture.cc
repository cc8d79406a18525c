#include "model/architecture.h"

#include <cmath>
#include <functional>
#include <limits>

#include "base/error.h"
#include "model/gguf.h"

namespace extrospect {
namespace {

// No model is near these; a file that claims more is damaged, and sizes below stay free of
// overflow.
constexpr uint64_t kMaxSize = uint64_t{1} << 24;

Error BadArchitecture(const std::string& where, const std::string& what) {
  return Error("the model's architecture makes no sense").At(where).Found(what);
}

class Metadata {
 public:
  Metadata(const GgufFile& file, std::string family) : file_(file), family_(std::move(family)) {}

  std::string Key(const char* name) const { return family_ + "." + name; }

  int64_t Size(const char* name) const { return Checked(name, file_.GetUint(Key(name))); }
  int64_t Size(const char* name, int64_t otherwise) const {
    const auto value = file_.FindUint(Key(name));
    return value ? Checked(name, *value) : otherwise;
  }
  double Number(const char* name) const { return file_.GetFloat(Key(name)); }
  double Number(const char* name, double otherwise) const {
    return file_.FindFloat(Key(name)).value_or(otherwise);
  }

 private:
  int64_t Checked(const char* name, uint64_t value) const {
    if (value == 0 || value > kMaxSize) {
      throw BadArchitecture(file_.name(), Key(name) + " = " + std::to_string(value));
    }
    return static_cast<int64_t>(value);
  }

  const GgufFile& file_;
  std::string family_;
};

void ReadLlama(const GgufFile& file, const Metadata& metadata, Architecture& a) {
  Rope rope;
  rope.base = metadata.Number("rope.freq_base", 10000.0);
  if (file.FindTensor("rope_freqs.weight") != nullptr ||
      file.FindString(metadata.Key("rope.scaling.type")).value_or("none") != "none") {
    throw Error("this GGUF file scales its rotary positions, which is not supported yet")
        .At(file.name());
  }
  a.ropes = {rope};
}

}  // namespace

Architecture ArchitectureFromGguf(const GgufFile& file) {
  const std::string family = file.GetString("general.architecture");
  if (family != "llama") {
    throw Error("the model's family is not supported")
        .At(file.name() + ", general.architecture")
        .Expected("llama")
        .Found(family);
  }
  const Metadata metadata(file, family);
  Architecture a;
  a.family = family;
  a.n_layers = metadata.Size("block_count");
  a.d_model = metadata.Size("embedding_length");
  a.n_heads = metadata.Size("attention.head_count");
  a.n_kv_heads = metadata.Size("attention.head_count_kv", a.n_heads);
  a.head_dim = metadata.Size("attention.key_length", a.d_model / a.n_heads);
  a.d_ff = metadata.Size("feed_forward_length");
  a.context_length = metadata.Size("context_length");
  a.norm_eps = metadata.Number("attention.layer_norm_rms_epsilon");
  const TensorView& embedding = file.GetTensor("token_embd.weight");
  a.vocab_size = embedding.shape.empty() ? 0 : embedding.shape.front();
  a.tied_embeddings = file.FindTensor("output.weight") == nullptr;
  a.attention_scale = 1.0 / std::sqrt(static_cast<double>(a.head_dim));
  a.blocks.assign(a.n_layers, BlockKind{});
  ReadLlama(file, metadata, a);
  CheckArchitecture(a, file.name());
  return a;
}

void CheckArchitecture(const Architecture& a, const std::string& where) {
  const auto require = [&](bool holds, const std::string& what) {
    if (!holds) throw BadArchitecture(where, what);
  };
  const auto number = [](int64_t n) { return std::to_string(n); };
  require(a.n_layers > 0 && a.n_layers <= 4096, number(a.n_layers) + " blocks");
  require(a.d_model > 0 && a.d_ff > 0 && a.vocab_size > 0 && a.context_length > 0,
          "a size of zero");
  require(a.n_heads > 0 && a.n_kv_heads > 0 && a.n_heads % a.n_kv_heads == 0,
          number(a.n_heads) + " heads over " + number(a.n_kv_heads) + " key heads");
  require(a.head_dim > 0 && a.head_dim % 2 == 0 && a.head_dim <= 1024,
          "heads of size " + number(a.head_dim));
  require(std::isfinite(a.norm_eps) && a.norm_eps >= 0, "a norm epsilon that is no number");
  require(static_cast<int64_t>(a.blocks.size()) == a.n_layers, "not one kind for every block");
  for (const Rope& rope : a.ropes) {
    require(std::isfinite(rope.base) && rope.base > 0 && rope.factor > 0,
            "rotary positions with base " + std::to_string(rope.base));
  }
  for (const BlockKind& block : a.blocks) {
    require(
        block.rope >= 0 && block.rope < static_cast<int64_t>(a.ropes.size()) && block.window >= 0,
        "a block with unknown rotary positions");
  }
}

}  // namespace extrospect
