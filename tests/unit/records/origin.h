// Where the activation files of tests say that they come from.
#pragma once

#include <cstdint>

#include "records/activations.h"

namespace extrospect {

inline ActivationOrigin TestOrigin(int64_t d_model) {
  ActivationOrigin origin;
  origin.model_name = "m";
  origin.model_sha256 = "00";
  origin.architecture = "llama";
  origin.n_layers = 2;
  origin.d_model = d_model;
  origin.config = "{}";
  return origin;
}

}  // namespace extrospect
