// What an oracle answers and what a linear reading of the same rows finds, as one.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "decode/oracle/naming_reading.h"

namespace extrospect {

// Whether there is a feeling at all is the answers' to say. Which one it is, answers and reading
// say together, by a product of powers:
//
//   p(word | a feeling) ∝ answers^(1 − s) · reading^s
//
// A language model that says what it hears and the model that heard it are combined so in speech
// recognition and translation (shallow fusion, arXiv 1503.03535). How much each counts depends on
// the answers' own probability p that there is a feeling. Where they are sure of one, s is `share`
// and the feeling as strong as usual. Where they find none, what they would call it is not worth
// much, and if there is one it is faint:
//
//   s = share^p,  reading = usual^p · any_strength^(1 − p)
//
// Without a share (0), s is 0 everywhere.
//
// answers: [n, classes] log-probabilities, normalised or not, float32 on the CPU; reading: of the
// same rows; share: 0 … 1; nothing: the class "nothing to report". Returns normalised
// log-probabilities, of which that of `nothing` is the answers'.
at::Tensor CombinedScores(const at::Tensor& answers, const NamingScores& reading, double share,
                          int64_t nothing);

}  // namespace extrospect
