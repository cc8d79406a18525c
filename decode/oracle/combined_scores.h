// What an oracle answers and what the closed-form reading behind its words' vectors finds, as one.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace extrospect {

// Whether there is a feeling at all is the answers' to say. Which one it is, both say: their
// geometric mean, p(word | a feeling) ∝ answers^(1 − share) · reading^share. A language model that
// says what it hears and the model that heard it are combined so in speech recognition and
// translation (shallow fusion, arXiv 1503.03535).
//
// answers: [n, classes] log-probabilities, normalised or not; reading: the same; share: 0 … 1;
// nothing: the class "nothing to report". Returns normalised log-probabilities.
at::Tensor CombinedScores(const at::Tensor& answers, const at::Tensor& reading, double share,
                          int64_t nothing);

}  // namespace extrospect
