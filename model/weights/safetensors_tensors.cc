// Tensors of a Hugging Face directory under the names of a plain language model.
#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "model/files/quote.h"
#include "model/files/safetensors.h"
#include "model/weights/tensor_decode.h"
#include "model/weights/weights.h"

namespace extrospect {
namespace {

// Where the language model's own "model." lies in a file: a plain model, older and newer multimodal
// checkpoints, and the body of a model that was saved without its head.
constexpr std::array<std::string_view, 4> kBodies = {"model.", "language_model.model.",
                                                     "model.language_model.", ""};
constexpr std::string_view kPlainBody = "model.";
constexpr std::string_view kEmbedding = "embed_tokens.weight";
constexpr std::string_view kHead = "lm_head.weight";
constexpr std::string_view kOlderHead = "language_model.lm_head.weight";

// Parts of multimodal models that are not the language model.
constexpr std::array<std::string_view, 4> kOtherParts = {"vision_tower.", "multi_modal_projector.",
                                                         "model.vision_tower.",
                                                         "model.multi_modal_projector."};
// Tables that old files keep although they follow from the configuration.
constexpr std::string_view kComputedTable = "rotary_emb.inv_freq";

class SafetensorsTensors : public TensorSource {
 public:
  SafetensorsTensors(const SafetensorsModel& model, const Architecture& architecture)
      : model_(model), architecture_(architecture) {
    const auto body = std::find_if(kBodies.begin(), kBodies.end(), [&](std::string_view prefix) {
      return model.Contains(std::string(prefix) + std::string(kEmbedding));
    });
    if (body != kBodies.end()) body_ = *body;
  }

  void Load(const std::string& name, const at::Tensor& destination) const override {
    const std::string stored = StoredName(name);
    const TensorView tensor = model_.Get(stored);
    DecodeTensor(tensor, destination, where());
    model_.Release(stored);
  }

  std::vector<std::string> Names() const override {
    std::vector<std::string> names;
    for (const std::string& stored : model_.names()) {
      const bool other = std::any_of(kOtherParts.begin(), kOtherParts.end(),
                                     [&](std::string_view p) { return stored.starts_with(p); });
      if (other || stored.ends_with(kComputedTable)) continue;
      const bool head = stored == kHead || stored == kOlderHead;
      // A tied head is the embedding, whatever the file holds beside it.
      if (head && architecture_.tied_embeddings) continue;
      if (head) {
        names.emplace_back(kHead);
      } else if (stored.starts_with(body_)) {
        names.push_back(std::string(kPlainBody) + stored.substr(body_.size()));
      } else {
        names.push_back(stored);
      }
    }
    return names;
  }

  std::string where() const override { return model_.directory().string(); }

 private:
  std::string StoredName(const std::string& name) const {
    if (name == kHead) {
      return std::string(model_.Contains(std::string(kOlderHead)) ? kOlderHead : kHead);
    }
    return std::string(body_) + name.substr(kPlainBody.size());
  }

  const SafetensorsModel& model_;
  const Architecture& architecture_;
  std::string_view body_ = kPlainBody;
};

}  // namespace

std::unique_ptr<TensorSource> OpenSafetensorsTensors(const SafetensorsModel& model,
                                                     const Architecture& architecture) {
  return std::make_unique<SafetensorsTensors>(model, architecture);
}

}  // namespace extrospect
