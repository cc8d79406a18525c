// Keys and values that outlive a forward pass: shared prefixes, and the past of a generation.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace extrospect {

// The keys and values of a run of consecutive tokens in every block. A sequence's past is a list of
// segments, oldest first; many sequences may share one (a system prompt), and branches of a tree
// share all but their last.
struct KvSegment {
  // Per block, [capacity, n_kv_heads * head_dim] in the compute dtype. Keys are rotated already.
  std::vector<at::Tensor> keys, values;
  int64_t length = 0;    // rows that are filled
  int64_t capacity = 0;  // rows that fit
};

// One sequence of a packed batch.
struct Sequence {
  std::vector<int32_t> tokens;  // the new tokens: those that this pass computes
  // What the new tokens can look back on, oldest first. Read only.
  std::vector<std::shared_ptr<const KvSegment>> past;
  // Where the new tokens' keys and values are kept; null if nobody will continue from them. What it
  // holds already counts as past, after `past`. Not shared between sequences of one batch.
  std::shared_ptr<KvSegment> append;
  // The place in the same batch of an earlier sequence that this one continues: it sees all that
  // that one sees, and its tokens, before `past`. −1: none. This is how prompts that begin alike
  // share their beginning within one pass.
  int64_t parent = -1;

  // Without what a parent adds.
  int64_t n_past() const {
    int64_t n = append ? append->length : 0;
    for (const auto& segment : past) n += segment->length;
    return n;
  }
};

}  // namespace extrospect
