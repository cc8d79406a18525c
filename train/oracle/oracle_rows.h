// The activation rows that an oracle is trained on: those of the file, and rows made up from them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "train/run.h"

namespace extrospect {

// A training row, or one made up of a class's mean and what another row deviates from its own's.
struct RowRecipe {
  int64_t row = 0;         // of the training split
  int64_t deviation = -1;  // the training row that lends its deviation; −1: the row as it is
  int64_t label = -1;      // the class of a made-up row
  double strength = 1.0;   // of the class's mean; 0: the mean of rows without feelings
};

class OracleRows {
 public:
  // Copies the split "train" to a device.
  OracleRows(const TrainingData& data, at::Device device);

  // Needed before rows can be made up. pull: of class means to their neighbours, in examples.
  void MeasureClasses(const TrainingData& data, double pull);

  int64_t size() const { return rows_.size(0); }
  const at::Tensor& rows() const { return rows_; }      // [n, hooks, d_model]
  const at::Tensor& spread() const { return spread_; }  // [hooks, d_model], within classes

  // A row of class `label` in the place of `row`, with the deviation of a row of the same holder,
  // drawn from `random`.
  RowRecipe MakeUp(int64_t row, int64_t label, RandomStream& random) const;

  // [recipes, hooks, d_model]
  at::Tensor Make(const std::vector<RowRecipe>& recipes) const;

 private:
  at::Tensor rows_;         // [n, hooks, d_model]
  at::Tensor deviations_;   // [n, hooks, d_model]
  at::Tensor spread_;       // [hooks, d_model]
  at::Tensor class_means_;  // [classes, hooks, d_model]
  at::Tensor calm_mean_;    // [hooks, d_model], of rows without feelings
  std::vector<std::string> holders_;
  std::map<std::string, std::vector<int64_t>> by_holder_;  // rows
};

}  // namespace extrospect
