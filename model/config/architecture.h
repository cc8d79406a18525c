// What tells one model family from another, as numbers and switches that the one transformer obeys.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace extrospect {

constexpr int64_t kMaxBlocks = 4096;

// The nonlinearity of the gated MLP, act(gate) * up.
enum class Activation { kSilu, kGeluTanh };

// Where the norms of a block stand.
enum class NormPlacement {
  kPre,         // x + f(norm(x)): Llama, Mistral, Qwen
  kPost,        // x + norm(f(x)): OLMo 2 and 3
  kPreAndPost,  // x + norm(f(norm(x))): Gemma 2 and 3
};

// RMS norm of queries and keys before the rotation.
enum class QkNorm {
  kNone,
  kPerHead,          // over each head's values: Qwen 3, Gemma 3
  kWholeProjection,  // over all heads together: OLMo 2 and 3
};

// Rotary position embedding. Angles are position * inverse_frequency; `scaling` changes the latter.
struct Rope {
  // kDivisors: every inverse frequency is divided by a number of its own, which is how GGUF files
  // keep Llama 3's scaling.
  enum class Scaling { kNone, kLinear, kLlama3, kYarn, kDivisors };

  double base = 10000.0;
  Scaling scaling = Scaling::kNone;
  double factor = 1.0;
  // Llama 3: wavelengths above original_context / low_frequency_factor are stretched by `factor`,
  // those below original_context / high_frequency_factor are kept, in between they are blended.
  double low_frequency_factor = 1.0;
  double high_frequency_factor = 4.0;
  int64_t original_context = 8192;
  // YaRN (Peng et al. 2023): the ramp's ends in rotations, and the factor on cos and sin.
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  double attention_factor = 1.0;
  std::vector<float> divisors;  // kDivisors: head_dim / 2 of them

  bool operator==(const Rope&) const = default;
};

// One block's departures from the others.
struct BlockKind {
  int64_t window = 0;  // sliding attention: keys at most window − 1 positions back; 0: all of them
  int64_t rope = 0;    // index into Architecture::ropes
  bool dense = false;  // a plain MLP in a model of experts
};

// Mixture of experts in place of the MLP (Qwen 3 MoE). No experts: a dense MLP.
struct MixtureOfExperts {
  int64_t n_experts = 0;
  int64_t n_active = 0;           // experts a token is sent to
  int64_t d_ff = 0;               // hidden size of one expert
  bool normalize_weights = true;  // the chosen experts' weights sum to one
};

struct Architecture {
  std::string family;  // "llama", "qwen2", "gemma3", …: a name of families.cc
  int64_t n_layers = 0;
  int64_t d_model = 0;
  int64_t n_heads = 0;
  int64_t n_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t d_ff = 0;
  int64_t vocab_size = 0;
  int64_t context_length = 0;

  NormPlacement norm_placement = NormPlacement::kPre;
  QkNorm qk_norm = QkNorm::kNone;
  double norm_eps = 1e-5;
  // The stored norm weights mean 1 + w (Gemma in Hugging Face files); loading adds the one.
  bool norm_weight_plus_one = false;
  bool qkv_bias = false;
  Activation activation = Activation::kSilu;
  double embedding_scale = 1.0;
  double attention_scale = 0.0;    // on q·k
  double attention_softcap = 0.0;  // cap * tanh(score / cap); 0: none
  double final_softcap = 0.0;      // the same on logits
  bool tied_embeddings = false;    // the head is the embedding matrix
  MixtureOfExperts experts;

  std::vector<Rope> ropes;
  std::vector<BlockKind> blocks;  // one per block

  int64_t q_size() const { return n_heads * head_dim; }
  int64_t kv_size() const { return n_kv_heads * head_dim; }
  int64_t qkv_size() const { return q_size() + 2 * kv_size(); }
};

class GgufFile;

// Reads the architecture from a GGUF file's metadata, or from the config.json of a Hugging Face
// directory (of a multimodal model, its text part). Throw Error, naming the key, on families and
// settings that are not supported and on values that no model could have.
Architecture ArchitectureFromGguf(const GgufFile& file);
Architecture ArchitectureFromDirectory(const std::filesystem::path& directory);
// From the text of a config.json, which messages call `where`.
Architecture ArchitectureFromConfigText(std::string_view text, const std::string& where);

// Throws Error (naming `where`) if sizes are missing, absurd, or do not fit one another.
void CheckArchitecture(const Architecture& architecture, const std::string& where);

// The number of weights, the experts' included; a tied head counts once.
int64_t CountParameters(const Architecture& architecture);

}  // namespace extrospect
