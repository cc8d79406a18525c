// A closed-form reading that can tell what it would make of rows it was fitted on, had it not been.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "records/lexicon.h"
#include "train/linear/discriminant.h"
#include "train/linear/linear.h"
#include "train/loop/metrics_log.h"

namespace extrospect {

// The fold of every row; all of a situation are in one. Empty if there is but one fold.
std::vector<int64_t> FoldsBySituation(const std::vector<std::string>& situations, int64_t folds);

// The discriminant analysis of all hooks' rows side by side that reads dev best. It is far surer of
// the rows it was fitted on than of others, so that whoever learns what to make of its scores must
// not learn from those: each training row has a second reading, fitted without the fold that the
// row is in (stacked generalisation, Wolpert 1992).
class StackedReading {
 public:
  // data: rows as they are. fold_of_row: of every training row, from 0; empty: rows are read by
  // what was fitted on them. The readings are where the data is.
  StackedReading(const Lexicon& lexicon, const ProbeData& data, std::vector<int64_t> fold_of_row,
                 MetricsLog& log);

  void To(at::Device device);

  // From rows as they are, [n, hooks · d_model], to scores whose softmax is calibrated on dev.
  const LinearMap& map() const { return map_; }

  // Scores [n, classes] of x [n, hooks · d_model] by the readings that did not see the training
  // rows `rows` (their places in the split; −1: by the reading of all).
  at::Tensor HeldOut(const at::Tensor& x, const std::vector<int64_t>& rows) const;

 private:
  LinearMap map_;
  std::vector<LinearMap> folds_;
  std::vector<int64_t> fold_of_row_;
};

}  // namespace extrospect
