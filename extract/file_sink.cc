#include "extract/file_sink.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "base/version.h"

namespace extrospect {

ActivationOrigin OriginOf(const LanguageModel& model, const std::string& dtype,
                          const std::string& config) {
  ActivationOrigin origin;
  origin.model_name = model.name;
  origin.model_sha256 = model.sha256;
  origin.architecture = model.architecture.family;
  origin.n_layers = model.architecture.n_layers;
  origin.d_model = model.architecture.d_model;
  origin.tokenizer_sha256 = model.tokenizer->Sha256();
  origin.chat_template_sha256 = model.chat_template_sha256;
  origin.compute_dtype = dtype;
  origin.layer_convention =
      "blocks.K.hook_resid_post is the residual stream after block K, counted from 0, before any "
      "final norm; blocks.0.hook_resid_pre is the embedding output";
  origin.config = config;
  origin.created_by = kProgramVersion;
  return origin;
}

void FileSink::Write(size_t hook, uint64_t first_row, const at::Tensor& rows) {
  at::Tensor stored = rows;
  if (store_ == StoreType::kBFloat16) stored = rows.to(at::kBFloat16);
  if (store_ == StoreType::kFloat16) {
    stored = rows.to(at::kHalf);
    if (!at::isfinite(stored).all().item<bool>()) {
      throw Error("an activation is too large for float16")
          .Found(std::to_string(rows.abs().max().item<float>()))
          .Hint("use --store bf16 or --store f32");
    }
  }
  const auto size = static_cast<size_t>(stored.numel()) * stored.element_size();
  writer_.Write(hook, first_row - first_row_,
                {static_cast<const std::byte*>(stored.contiguous().const_data_ptr()), size});
}

void FileSink::Done(const std::vector<uint32_t>& transcripts) {
  std::vector<uint32_t> here = transcripts;
  for (uint32_t& transcript : here) transcript -= first_transcript_;
  writer_.MarkDone(here);
}

}  // namespace extrospect
