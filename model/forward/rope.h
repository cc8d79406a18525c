// The angles of rotary position embeddings, as tables.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <mutex>

#include "model/config/architecture.h"

namespace extrospect {

// Rotary tables of one Rope, [n_positions, head_dim / 2] each: float32, or float64 when computing
// in float64.
struct RopeTable {
  at::Tensor cos, sin;
};

// A table that grows with the positions that are asked for: a context of 131,072 tokens would take
// more memory than a small model, and few texts reach it. Thread-safe. A row's numbers do not
// depend on how the table grew.
//
// In float32 everything is computed in the order in which Hugging Face computes it, because at
// position 2000 one rounding of the angle is 1e-4 rad.
class RopeAngles {
 public:
  RopeAngles(const Rope& rope, int64_t head_dim, at::ScalarType dtype, at::Device device);

  // A table of at least `n_positions` rows.
  RopeTable Upto(int64_t n_positions) const;

 private:
  at::Tensor inverse_frequencies_;
  double attention_factor_;
  at::Device device_;
  mutable std::mutex mutex_;
  mutable RopeTable table_;
};

}  // namespace extrospect
