// Which rows attend to which keys, laid out for batched attention: for the operations that are
// composed of ATen calls (ops.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace extrospect {

struct AttentionSpan;

// Made on the host once per forward pass, window and device, from the geometry that all blocks
// share: numbers of rows and past runs, not their contents. Sequences of similar size go together,
// padded to the longest of their group; padding neither sees nor is seen, and is never computed
// outside attention.
class AttentionPlan {
 public:
  struct Group {
    int64_t n = 0, n_queries = 0, n_keys = 0;  // sequences; rows and keys of the largest
    at::Tensor queries;  // [n · n_queries] int64: rows of qkv; any row where there is padding
    at::Tensor keys;     // [n · n_keys] int64: rows of the key source
    at::Tensor visible;  // [n, 1, n_queries, n_keys] bool
  };

  AttentionPlan(const std::vector<AttentionSpan>& spans, int64_t n_rows, int64_t window,
                at::Device device);

  const std::vector<Group>& groups() const { return groups_; }
  // [rows] int64: where each row of the batch lies in the groups' padded results, one after
  // another.
  const at::Tensor& unpad() const { return unpad_; }
  // The key source is the past runs with tensors of their own, by span and run, each once, and
  // after them all rows of qkv.
  const std::vector<std::pair<size_t, size_t>>& sources() const { return sources_; }

 private:
  std::vector<Group> groups_;
  at::Tensor unpad_;
  std::vector<std::pair<size_t, size_t>> sources_;
};

}  // namespace extrospect
