// The linear reading that has a share in which feeling an oracle names; see CombinedScores.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>

namespace extrospect {

// Of rows, [n, classes] each, float32 on the CPU, not normalised.
struct NamingScores {
  at::Tensor usual;         // of feelings as strong as those that the reading was fitted on
  at::Tensor any_strength;  // of feelings that may be fainter; see AnyStrengthScores
};

// All float32, on one device.
struct NamingReading {
  at::Tensor weight;  // [classes, hooks · d_model], or undefined: there is none
  at::Tensor bias;    // [classes]
  // [classes]: its scores of the mean training row without a feeling. Undefined if there was none:
  // then nothing is known of fainter feelings, and both scores are the same.
  at::Tensor calm;

  bool defined() const { return weight.defined(); }

  // rows: [n, hooks, d_model] float32 on the same device, less OracleInput::mean.
  NamingScores Scores(const at::Tensor& rows, int64_t nothing) const;

  // The tensors that are defined, by name: "naming.weight", …
  std::map<std::string, at::Tensor> Named() const;
};

// A linear discriminant scores a class by the likelihood of its mean. What a faint trace of a
// feeling leaves lies on the way from the mean of rows without feelings (`calm`) to the class's
// mean, at a strength t below 1, and there the scores go wrong: a class that stands far out is
// charged for a distance that the row never went. With r(x) = score − score of "nothing", which is
// the log of the likelihood ratio of class and calm, the ratio at strength t is
//
//   t · a − t² · q / 2,  a = r(x) − r(calm),  q = −2 r(calm),
//
// so that nothing has to be fitted anew. That is exact for a discriminant with classes that are
// equally likely, at any temperature; of a reading that was refined by gradient it is as good as
// that is near to one. The strength is not known: ratios are averaged over t = 1/8, 2/8 … 1 (a
// uniform prior). They say which feeling it is, whatever its strength; not whether there is one, as
// the faintest are hard to tell from none.
//
// scores: [n, classes] log-likelihoods, to a constant a row; calm_scores: [classes] of the same
// kind, of the mean of rows without feelings. Returns log ratios [n, classes]; that of `nothing` is
// 0.
at::Tensor AnyStrengthScores(const at::Tensor& scores, const at::Tensor& calm_scores,
                             int64_t nothing);

}  // namespace extrospect
