#include "decode/decoder.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "base/error.h"
#include "base/text.h"
#include "extract/prepare.h"
#include "model/files/tensor_view.h"

namespace extrospect {
namespace {

// Names both sides where a decoder and an activation file are of different models.
void Match(const char* what, const std::string& decoder, const std::string& found,
           const std::string& file) {
  if (decoder == found) return;
  throw Error(std::string("the decoder does not fit the activations: another ") + what)
      .At(file)
      .Expected(decoder + " (what the decoder was trained on)")
      .Found(found)
      .Hint("extract activations with the decoder's model, or train a decoder on these");
}

}  // namespace

void Decoder::Check(const at::Tensor& rows, const std::vector<std::string>& holders) const {
  const auto n_hooks = static_cast<int64_t>(info_.hooks.size());
  if (rows.dim() != 3 || rows.size(1) != n_hooks || rows.size(2) != info_.d_model ||
      rows.scalar_type() != at::kFloat) {
    throw Error("activation rows do not fit the decoder")
        .At(info_.name)
        .Expected("float32 of shape " +
                  ShapeText(std::vector<int64_t>{rows.dim() > 0 ? rows.size(0) : 0, n_hooks,
                                                 info_.d_model}))
        .Found(std::string(at::toString(rows.scalar_type())) + " of shape " +
               ShapeText(std::span<const int64_t>(rows.sizes().data(), rows.sizes().size())));
  }
  if (!holders.empty() && static_cast<int64_t>(holders.size()) != rows.size(0)) {
    throw Error("one holder a row is needed, or none")
        .At(info_.name)
        .Expected(std::to_string(rows.size(0)))
        .Found(std::to_string(holders.size()));
  }
  if (!at::isfinite(rows).all().item<bool>()) {
    throw Error("an activation is not finite").At(info_.name);
  }
}

Scores Decoder::Read(const at::Tensor& rows, const std::vector<std::string>& holders) const {
  const c10::InferenceMode inference;
  Check(rows, holders);
  if (rows.size(0) == 0) {
    return {at::zeros({0, info_.lexicon.size()}, at::kFloat), at::zeros({0}, at::kFloat),
            at::zeros({0}, at::kFloat)};
  }
  std::vector<std::string> all = holders;
  all.resize(static_cast<size_t>(rows.size(0)));
  Scores scores = ReadRows(rows, all);
  for (at::Tensor* tensor : {&scores.log_p, &scores.valence, &scores.arousal}) {
    *tensor = tensor->to(at::kCPU, at::kFloat).contiguous();
    if (tensor->isnan().any().item<bool>()) {
      throw Error("the decoder's scores are not numbers")
          .At(info_.name)
          .Hint("its weights or its adapter are damaged, or overflow in this --dtype");
    }
  }
  return scores;
}

std::vector<std::string> Decoder::Sentences(const at::Tensor& rows, const Scores& scores,
                                            const std::vector<std::string>& holders) const {
  const c10::InferenceMode inference;
  Check(rows, holders);
  if (rows.size(0) == 0) return {};
  std::vector<std::string> all = holders;
  all.resize(static_cast<size_t>(rows.size(0)));
  return SentencesOf(rows, scores, all);
}

std::vector<std::vector<std::string>> Decoder::Answer(const at::Tensor& rows,
                                                      const std::vector<std::string>& holders,
                                                      const AnswerOptions& options) const {
  const c10::InferenceMode inference;
  Check(rows, holders);
  std::vector<std::string> all = holders;
  all.resize(static_cast<size_t>(rows.size(0)));
  AnswerOptions named = options;
  for (size_t i = named.streams.size(); i < all.size(); ++i) {
    named.streams.push_back(std::to_string(i));
  }
  return AnswersOf(rows, all, named);
}

std::vector<std::vector<std::string>> Decoder::AnswersOf(const at::Tensor&,
                                                         const std::vector<std::string>&,
                                                         const AnswerOptions&) const {
  throw UsageError("only decoders that ask the language model itself answer questions")
      .Found("a decoder of kind " + info_.kind);
}

bool Abstains(const DecoderInfo& info, const float* log_p) {
  const int64_t nothing = info.lexicon.nothing();
  const auto best = std::max_element(log_p, log_p + info.lexicon.size()) - log_p;
  return best == nothing || 1.0 - std::exp(log_p[nothing]) < info.abstain_below;
}

void CheckFits(const DecoderInfo& info, const ActivationOrigin& origin,
               const std::vector<std::string>& hooks, const std::string& file) {
  const auto model = [](const std::string& name, const std::string& hash) {
    return name + ", sha256 " + hash;
  };
  Match("model", model(info.model_name, info.model_sha256),
        model(origin.model_name, origin.model_sha256), file);
  Match("tokenizer", info.tokenizer_sha256, origin.tokenizer_sha256, file);
  Match("chat template", info.chat_template_sha256, origin.chat_template_sha256, file);
  Match("width", std::to_string(info.d_model), std::to_string(origin.d_model), file);
  for (const std::string& hook : info.hooks) {
    if (std::find(hooks.begin(), hooks.end(), hook) == hooks.end()) {
      throw Error("the decoder does not fit the activations: its hook is not in the file")
          .At(file)
          .Expected(hook)
          .Found(Join(hooks))
          .Hint("a decoder reads only the hook that it was trained on; extract it with --layers");
    }
  }
}

void CheckRendering(const DecoderInfo& info, const ActivationOrigin& origin,
                    const std::string& file) {
  Match("format", info.rendering, FormatName(PrepareOptionsOf(origin.config).format), file);
}

std::string TemplateSentence(const std::string& holder, const std::string& word) {
  const std::string subject = "The " + (holder.empty() ? std::string("holder") : holder);
  return word == kNothing ? subject + " reports nothing of note."
                          : subject + " feels " + word + ".";
}

}  // namespace extrospect
