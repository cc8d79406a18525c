#include "decode/token_rows.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>
#include <utility>

#include "extract/extract.h"
#include "extract/file_sink.h"
#include "model/hooks.h"
#include "model/index_tensor.h"

namespace extrospect {

void CheckFitsModel(const DecoderInfo& info, const LanguageModel& model) {
  const ActivationOrigin origin = OriginOf(model);
  std::vector<std::string> hooks = {HookName(kEmbeddingBlock)};
  for (int64_t block = 0; block < origin.n_layers; ++block) hooks.push_back(HookName(block));
  CheckFits(info, origin, hooks, model.path.string());
}

TokenRows ExtractTokenRows(const DecoderInfo& info, const LanguageModel& model,
                           const std::vector<Transcript>& transcripts,
                           const PrepareOptions& prepare, int64_t batch_tokens,
                           const std::function<void(int64_t tokens)>& progress) {
  ExtractOptions extract;
  extract.selections = {Selection::Parse("all")};
  extract.prepare = prepare;
  extract.batch_tokens = batch_tokens;
  for (const std::string& hook : info.hooks) extract.blocks.push_back(ParseHookName(hook));
  // The extraction goes upwards; the decoder may have its hooks in any order.
  const std::vector<int64_t> blocks = extract.blocks;
  std::sort(extract.blocks.begin(), extract.blocks.end());
  ExtractPlan plan = PlanExtraction(model, transcripts, extract);
  const at::Tensor rows = ExtractRows(model, plan, extract, progress);
  std::vector<int64_t> order;
  for (const int64_t block : blocks) {
    order.push_back(std::find(extract.blocks.begin(), extract.blocks.end(), block) -
                    extract.blocks.begin());
  }
  TokenRows result;
  result.rows = rows.index_select(1, IndexTensor(order, at::kCPU));
  for (const auto& transcript : plan.layout.transcripts) {
    result.first.push_back(static_cast<int64_t>(transcript.first_row));
  }
  result.transcripts = std::move(plan.transcripts);
  return result;
}

}  // namespace extrospect
