#include "train/linear/stacked_reading.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <utility>

#include "base/random.h"
#include "model/index_tensor.h"
#include "train/linear/standardise.h"

namespace extrospect {
namespace {

// Discriminant analyses that are tried on dev.
const std::vector<double> kShrinkages = {0.1, 0.2, 0.4, 0.6, 0.8};
const std::vector<double> kPulls = {10.0, 20.0};

// From standardised rows to rows as they are, with scores divided by the temperature.
LinearMap OfRawRows(const LinearMap& map, const Standardiser& standardise, double temperature) {
  const at::Tensor weight = map.weight * standardise.scale / temperature;
  return {weight, map.bias / temperature - at::mv(weight, standardise.mean)};
}

}  // namespace

std::vector<int64_t> FoldsBySituation(const std::vector<std::string>& situations, int64_t folds) {
  std::vector<int64_t> fold_of_row;
  if (folds < 2) return fold_of_row;
  for (const std::string& situation : situations) {
    RandomStream random(0, "fold/" + situation);
    fold_of_row.push_back(static_cast<int64_t>(random.Below(static_cast<uint64_t>(folds))));
  }
  return fold_of_row;
}

StackedReading::StackedReading(const Lexicon& lexicon, const ProbeData& data,
                               std::vector<int64_t> fold_of_row, MetricsLog& log)
    : fold_of_row_(std::move(fold_of_row)) {
  const at::NoGradGuard no_grad;
  const Standardiser standardise(data.train);
  const ProbeData standard = Standardised(data, standardise);
  const Discriminant best = BestDiscriminant(lexicon, standard, kShrinkages, kPulls, "joint", log);
  map_ = OfRawRows(best.map, standardise, 1.0);
  if (fold_of_row_.empty()) return;
  const int64_t folds = *std::max_element(fold_of_row_.begin(), fold_of_row_.end()) + 1;
  for (int64_t fold = 0; fold < folds; ++fold) {
    std::vector<int64_t> others;
    for (size_t row = 0; row < fold_of_row_.size(); ++row) {
      if (fold_of_row_[row] != fold) others.push_back(static_cast<int64_t>(row));
    }
    const at::Tensor index = IndexTensor(others, data.train.device());
    const DiscriminantAnalysis analysis(lexicon, standard.train.index_select(0, index),
                                        data.train_targets.index_select(0, index));
    folds_.push_back(
        OfRawRows(analysis.Solve(best.shrinkage, best.pull), standardise, best.temperature));
  }
}

void StackedReading::To(at::Device device) {
  map_ = {map_.weight.to(device), map_.bias.to(device)};
  for (LinearMap& fold : folds_) fold = {fold.weight.to(device), fold.bias.to(device)};
}

at::Tensor StackedReading::HeldOut(const at::Tensor& x, const std::vector<int64_t>& rows) const {
  at::Tensor scores = map_(x);
  for (size_t k = 0; k < folds_.size(); ++k) {
    std::vector<int64_t> members;
    for (size_t i = 0; i < rows.size(); ++i) {
      if (rows[i] >= 0 && fold_of_row_[static_cast<size_t>(rows[i])] == static_cast<int64_t>(k)) {
        members.push_back(static_cast<int64_t>(i));
      }
    }
    if (members.empty()) continue;
    const at::Tensor index = IndexTensor(members, x.device());
    scores = scores.index_copy(0, index, folds_[k](x.index_select(0, index)));
  }
  return scores;
}

}  // namespace extrospect
