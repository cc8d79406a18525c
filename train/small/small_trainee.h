// The small decoder in training: a transformer from scratch over a fixed discriminant projection.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/random.h"
#include "decode/small.h"
#include "train/loop/epochs.h"
#include "train/loop/loop.h"
#include "train/run.h"
#include "train/small/small_examples.h"

namespace extrospect {

class SmallTrainee : public Trainee {
 public:
  // tensors: the network's, which are trained in place; word_ids: see SmallNetwork; holders: see
  // Small. What is passed by reference must outlive the trainee.
  SmallTrainee(const TrainingData& data, const Config& config, const SmallShape& shape,
               std::map<std::string, at::Tensor> tensors,
               std::shared_ptr<const SentencePieces> pieces, at::Tensor word_ids,
               const std::vector<std::string>& holders);

  std::vector<Parameter> Parameters() const override { return parameters_; }
  at::Tensor Loss(int64_t step, int64_t part) override;
  Evaluation Evaluate() override;

  // Scores of the dev rows, [n, classes].
  at::Tensor DevLogits() const;
  // The words that were never trained on come as near as dev's cross-entropy allows. Returns their
  // scale.
  double PlaceUnseen();

 private:
  // The rows of this step, as many as the option `name` says.
  std::vector<int64_t> Draw(int64_t step, const std::string& name);
  // The coordinates of these rows, with noise; a share `mixup` of them half another of their class.
  at::Tensor Inputs(const std::vector<int64_t>& rows, RandomStream& random, double mixup) const;
  const std::vector<int64_t>& OfClass(int64_t word) const;
  // Next-piece cross-entropy over whole descriptions.
  at::Tensor DescriptionLoss(const std::vector<int64_t>& rows, const SmallNetwork::Noise& noise,
                             RandomStream& random) const;
  // Cross-entropy of "feels" against "reports" and of the word among the words, after the scored
  // prompts: what reading will ask.
  at::Tensor WordLoss(const std::vector<int64_t>& rows, const SmallNetwork::Noise& noise,
                      RandomStream& random) const;
  // Targets over the words (the lexicon without "nothing to report").
  at::Tensor WordTargets(const std::vector<int64_t>& rows) const;

  const TrainingData& data_;
  const Config& config_;
  std::shared_ptr<const SentencePieces> pieces_;
  uint64_t seed_;
  SmallNetwork network_;
  at::Tensor word_ids_, unseen_, unseen_pieces_;
  Small small_;  // shares the network's tensors
  std::vector<Parameter> parameters_;
  std::vector<SmallExample> examples_;
  bool described_ = false;  // whether some example has a description
  at::Tensor coordinates_, dev_coordinates_;
  std::map<std::string, Epochs> epochs_;  // by option
  mutable std::map<int64_t, std::vector<int64_t>>
      by_class_;  // examples; filled when first asked for
};

}  // namespace extrospect
