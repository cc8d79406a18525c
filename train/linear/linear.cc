#include "train/linear/linear.h"

#include <ATen/ATen.h>

namespace extrospect {
namespace {

constexpr double kFamilyWeight = 0.15;
// How many examples of feelings at large stand behind every class's neighbours.
constexpr double kGlobalExamples = 10.0;

at::TensorOptions Doubles() { return at::TensorOptions(at::kDouble).device(at::kCPU); }

// Solves S x = b for a symmetric positive definite S.
at::Tensor SolvePositive(const at::Tensor& matrix, const at::Tensor& right) {
  const at::Tensor factor = at::linalg_cholesky(matrix);
  return at::cholesky_solve(right, factor);
}

}  // namespace

at::Tensor LinearMap::operator()(const at::Tensor& x) const {
  return at::addmm(bias, x, weight.t());
}

at::Tensor NeighbourWeights(const Lexicon& lexicon, const at::Tensor& class_counts) {
  const int64_t n = lexicon.size(), nothing = lexicon.nothing();
  const at::Tensor counts = class_counts.to(at::kCPU, at::kDouble).contiguous();
  const double* const count = counts.const_data_ptr<double>();
  at::Tensor weights = at::zeros({n, n}, Doubles());
  double feelings = 0;
  for (int64_t i = 0; i < n; ++i) feelings += i == nothing ? 0.0 : count[i];
  for (int64_t i = 0; i < n; ++i) {
    if (i == nothing || feelings == 0) continue;
    double* const row = weights.data_ptr<double>() + i * n;
    double sum = kGlobalExamples;
    for (int64_t j = 0; j < n; ++j) {
      if (j == nothing) continue;
      row[j] = kGlobalExamples * count[j] / feelings;
      if (i == j) continue;
      const bool family = !lexicon[i].family.empty() && lexicon[i].family == lexicon[j].family;
      const double weight =
          ((lexicon.IsNear(i, j) ? 1.0 : 0.0) + (family ? kFamilyWeight : 0.0)) * count[j];
      row[j] += weight;
      sum += weight;
    }
    for (int64_t j = 0; j < n; ++j) row[j] /= sum;
  }
  return weights;
}

DiscriminantAnalysis::DiscriminantAnalysis(const Lexicon& lexicon, const at::Tensor& x,
                                           const at::Tensor& targets)
    : nothing_(lexicon.nothing()) {
  const c10::InferenceMode inference;
  const at::Tensor rows = x.to(at::kDouble), wanted = targets.to(at::kDouble);
  counts_ = wanted.sum(0);
  sums_ = at::mm(wanted.t(), rows);
  const at::Tensor means = sums_ / counts_.clamp_min(1e-12).unsqueeze(1);
  neighbours_ = at::mm(NeighbourWeights(lexicon, counts_).to(x.device()), means);
  const auto classes_seen = (counts_ > 0).sum().item<int64_t>();
  const double freedom = static_cast<double>(std::max<int64_t>(rows.size(0) - classes_seen, 1));
  within_ = (at::mm(rows.t(), rows) - at::mm((means * counts_.unsqueeze(1)).t(), means)) / freedom;
}

at::Tensor DiscriminantAnalysis::Covariance(double shrinkage) const {
  // Never quite singular, even for features that do not vary.
  const double level = within_.diagonal().mean().item<double>() + 1e-12;
  at::Tensor covariance = within_ * (1 - shrinkage);
  covariance.diagonal().add_(shrinkage * level + 1e-9 * level);
  return covariance;
}

at::Tensor DiscriminantAnalysis::Means(double pull) const {
  // Classes without examples stand where their neighbours are, even without any pull.
  at::Tensor pulls = at::full_like(counts_, pull + 1e-9);
  pulls.narrow(0, nothing_, 1).zero_();
  return (sums_ + pulls.unsqueeze(1) * neighbours_) /
         (counts_ + pulls).clamp_min(1e-12).unsqueeze(1);
}

LinearMap DiscriminantAnalysis::Solve(double shrinkage, double pull) const {
  const c10::InferenceMode inference;
  const at::Tensor means = Means(pull);
  const at::Tensor directions = SolvePositive(Covariance(shrinkage), means.t()).t();
  const at::Tensor bias = (directions * means).sum(1) * -0.5;
  // Nothing stands for "nothing to report" where no row was labelled so: it must not win by its
  // empty mean.
  if (counts_[nothing_].item<double>() == 0) bias[nothing_] = kNeverRead;
  return {directions.to(at::kFloat).contiguous(), bias.to(at::kFloat)};
}

at::Tensor DiscriminantAnalysis::Discriminants(double shrinkage, double pull, int64_t rank) const {
  const c10::InferenceMode inference;
  // With Σ = L Lᵀ, the rows of L⁻¹ whiten; the class means' principal axes after that are the
  // discriminants. Symmetric roots would need another eigendecomposition and give the same.
  const at::Tensor factor = at::linalg_cholesky(Covariance(shrinkage));
  at::Tensor means = Means(pull);
  means = means - (means * counts_.unsqueeze(1)).sum(0) / counts_.sum();
  const at::Tensor whitened = at::linalg_solve_triangular(factor, means.t(), /*upper=*/false);
  const at::Tensor axes = std::get<0>(at::linalg_svd(whitened, /*full_matrices=*/false));
  const int64_t kept = std::min(rank, axes.size(1));
  const at::Tensor directions =
      at::linalg_solve_triangular(factor.t(), axes.narrow(1, 0, kept), /*upper=*/true);
  return directions.t().to(at::kFloat).contiguous();
}

LinearMap RidgeRegression(const at::Tensor& x, const at::Tensor& y, double ridge) {
  const c10::InferenceMode inference;
  const at::Tensor rows = x.to(at::kDouble), wanted = y.to(at::kDouble);
  const auto n = static_cast<double>(rows.size(0));
  const at::Tensor x_mean = rows.mean(0), y_mean = wanted.mean(0);
  const at::Tensor centred = rows - x_mean;
  at::Tensor gram = at::mm(centred.t(), centred) / n;
  gram.diagonal().add_(ridge);
  const at::Tensor weight = SolvePositive(gram, at::mm(centred.t(), wanted - y_mean) / n).t();
  return {weight.to(at::kFloat).contiguous(), (y_mean - at::mv(weight, x_mean)).to(at::kFloat)};
}

}  // namespace extrospect
