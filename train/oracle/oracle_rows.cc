#include "train/oracle/oracle_rows.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "model/index_tensor.h"
#include "train/linear/linear.h"

namespace extrospect {

OracleRows::OracleRows(const TrainingData& data, at::Device device)
    : rows_(data.Rows("train").to(device)) {
  const at::NoGradGuard no_grad;
  const at::Tensor targets = data.Targets("train").to(device), flat = rows_.flatten(1);
  const at::Tensor own = at::mm(targets.t(), flat) / targets.sum(0).unsqueeze(1).clamp_min(1e-9);
  deviations_ = (flat - at::mm(targets, own)).view_as(rows_);
  spread_ = deviations_.square().mean(0).sqrt();
}

void OracleRows::MeasureClasses(const TrainingData& data, double pull) {
  const at::NoGradGuard no_grad;
  const at::Tensor targets = data.Targets("train").to(rows_.device());
  const at::Tensor means =
      DiscriminantAnalysis(data.lexicon(), rows_.flatten(1), targets).Means(pull).to(at::kFloat);
  // Inference tensors cannot take part in a graph, hence the copy.
  class_means_ = at::empty_like(means).copy_(means).view({-1, rows_.size(1), rows_.size(2)});
  const at::Tensor calm = data.Labels("train").to(rows_.device()) == data.lexicon().nothing();
  calm_mean_ = (calm.any().item<bool>() ? rows_.index({calm}) : rows_).mean(0);

  holders_ = data.Holders("train");
  for (int64_t row = 0; row < size(); ++row) {
    by_holder_[holders_[static_cast<size_t>(row)]].push_back(row);
  }
}

RowRecipe OracleRows::MakeUp(int64_t row, int64_t label, RandomStream& random) const {
  const std::vector<int64_t>& lenders = by_holder_.at(holders_[static_cast<size_t>(row)]);
  return {.row = row, .deviation = lenders[random.Below(lenders.size())], .label = label};
}

at::Tensor OracleRows::Make(const std::vector<RowRecipe>& recipes) const {
  std::vector<int64_t> rows, made_up, lenders, labels;
  std::vector<float> strengths;
  for (const RowRecipe& recipe : recipes) {
    if (recipe.deviation >= 0) {
      made_up.push_back(static_cast<int64_t>(rows.size()));
      lenders.push_back(recipe.deviation);
      labels.push_back(recipe.label);
      strengths.push_back(static_cast<float>(recipe.strength));
    }
    rows.push_back(recipe.row);
  }
  const at::Device device = rows_.device();
  const at::Tensor index = IndexTensor(rows, device);
  const at::Tensor made = rows_.index_select(0, index);
  if (made_up.empty()) return made;
  const auto options = at::TensorOptions(at::kFloat).device(at::kCPU);
  const at::Tensor strength = at::tensor(strengths, options).view({-1, 1, 1}).to(device);
  const at::Tensor places = IndexTensor(made_up, device);
  const at::Tensor means =
      at::lerp(calm_mean_, class_means_.index_select(0, IndexTensor(labels, device)), strength);
  return made.index_copy(0, places,
                         means + deviations_.index_select(0, IndexTensor(lenders, device)));
}

}  // namespace extrospect
