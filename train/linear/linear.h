// Closed-form linear readings: discriminant analysis with shrinkage, and ridge regression.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "records/lexicon.h"

namespace extrospect {

// y = weight · x + bias.
struct LinearMap {
  at::Tensor weight;  // [outputs, features] float32
  at::Tensor bias;    // [outputs] float32

  // x: [n, features]. Returns [n, outputs].
  at::Tensor operator()(const at::Tensor& x) const;
};

// How much each class's mean may learn from every other's: [classes, classes] float64, rows sum to
// at most 1. Near words count 1, words of the same family 0.15, and every class a little; "nothing
// to report" stands alone. What a class lacks in examples it takes from its neighbours, so that
// even a word that was never trained on has a direction to be read by.
at::Tensor NeighbourWeights(const Lexicon& lexicon, const at::Tensor& class_counts);

// The bias of a class that must never be read: far below any score, but finite.
inline constexpr double kNeverRead = -1e4;

// Linear discriminant analysis with one covariance for all classes (Friedman 1989, "Regularized
// Discriminant Analysis", with the class means shrunk as well): scores are
//
//   m_cᵀ Σ⁻¹ x − ½ m_cᵀ Σ⁻¹ m_c,  Σ = (1 − s) W + s · (tr W / F) · I,
//   m_c = (n_c · mean_c + p · neighbours_c) / (n_c + p)
//
// with the within-class covariance W, shrinkage s and pull p (in examples). Classes are equally
// likely a priori, but for "nothing to report" without examples, which is never read; calibration
// on dev does the rest. Computed in float64.
class DiscriminantAnalysis {
 public:
  // x: [n, features] float32, standardised; targets: [n, classes] float32, rows sum to 1.
  DiscriminantAnalysis(const Lexicon& lexicon, const at::Tensor& x, const at::Tensor& targets);

  // The class means m_c, [classes, features] float64.
  at::Tensor Means(double pull) const;

  // 0 < shrinkage ≤ 1; pull ≥ 0.
  LinearMap Solve(double shrinkage, double pull) const;

  // The directions in which the class means differ most beside what varies within a class (Fisher's
  // discriminants), as a [rank, features] float32 matrix: within a class every coordinate has about
  // unit variance, and coordinates are uncorrelated. Ranks beyond the features are cut off.
  at::Tensor Discriminants(double shrinkage, double pull, int64_t rank) const;

 private:
  at::Tensor Covariance(double shrinkage) const;

  at::Tensor counts_;      // [classes] float64
  at::Tensor sums_;        // [classes, features]
  at::Tensor neighbours_;  // [classes, features]: the means that classes are pulled to
  at::Tensor within_;      // [features, features]
  int64_t nothing_;
};

// Ridge regression of y [n, outputs] on x [n, features], standardised. The
// intercept is not shrunk; the penalty is ridge · ‖weights‖² beside the mean squared error.
LinearMap RidgeRegression(const at::Tensor& x, const at::Tensor& y, double ridge);

}  // namespace extrospect
