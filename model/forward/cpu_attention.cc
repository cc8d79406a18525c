// Attention for packed sequences of any length, written for short ones, where a general kernel
// spends its time on set-up. Per sequence and key head: keys are gathered transposed and values as
// they are, in float32; the queries of all heads that share the key head form one tall matrix;
// scores and outputs are two small matrix products by the same register-blocked kernel.
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <vector>

#include "model/forward/cpu_kernels.h"
#include "model/forward/simd.h"

namespace extrospect::cpu {
namespace {

using simd::Floats;
using simd::kLanes;

// Query tokens that one task handles; long sequences make several tasks.
constexpr int64_t kTaskRows = 64;
// Rows and lane groups of the register block: 6 × 2 accumulators of 16 floats.
constexpr int64_t kBlockRows = 6;
constexpr int64_t kBlockColumns = 2 * kLanes;

int64_t RoundUp(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// c[rows × 32] = a[rows × depth] · b[depth × 32].
template <int64_t kRows>
EXTROSPECT_KERNEL void MultiplyBlock(const float* a, int64_t lda, const float* b, int64_t ldb,
                                     float* c, int64_t ldc, int64_t depth) {
  Floats sums[kRows][2] = {};
  for (int64_t k = 0; k < depth; ++k) {
    const Floats left = simd::Load(b + k * ldb), right = simd::Load(b + k * ldb + kLanes);
    for (int64_t r = 0; r < kRows; ++r) {
      const float x = a[r * lda + k];
      sums[r][0] += x * left;
      sums[r][1] += x * right;
    }
  }
  for (int64_t r = 0; r < kRows; ++r) {
    simd::Store(c + r * ldc, sums[r][0]);
    simd::Store(c + r * ldc + kLanes, sums[r][1]);
  }
}

// The same for up to six rows and any multiple of 32 columns.
void Multiply(const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc,
              int64_t rows, int64_t columns, int64_t depth) {
  static constexpr decltype(&MultiplyBlock<1>) kKernels[] = {MultiplyBlock<1>, MultiplyBlock<2>,
                                                             MultiplyBlock<3>, MultiplyBlock<4>,
                                                             MultiplyBlock<5>, MultiplyBlock<6>};
  for (int64_t column = 0; column < columns; column += kBlockColumns) {
    kKernels[rows - 1](a, lda, b + column, ldb, c + column, ldc, depth);
  }
}

// Scores of keys [begin, end) become probabilities; those outside, up to `width`, become zero.
// `scores` has room for whole lane groups, counted from its start.
EXTROSPECT_KERNEL void SoftmaxRow(float* scores, int64_t begin, int64_t end, int64_t width,
                                  float softcap) {
  // Lane groups that hold [begin, end). They may reach into keys that are hidden or only padding.
  const int64_t first = begin / kLanes * kLanes;
  const int64_t last = RoundUp(end, kLanes);
  if (softcap > 0) {
    for (int64_t i = first; i < end; i += kLanes) {
      simd::Store(scores + i, softcap * simd::Tanh(simd::Load(scores + i) / softcap));
    }
  }
  constexpr float kHidden = -std::numeric_limits<float>::infinity();
  std::fill(scores + first, scores + begin, kHidden);
  std::fill(scores + end, scores + last, kHidden);
  Floats max = simd::Load(scores + first);
  for (int64_t i = first + kLanes; i < last; i += kLanes) {
    max = simd::Max(max, simd::Load(scores + i));
  }
  float top = max[0];
  for (int64_t i = 1; i < kLanes; ++i) top = std::max(top, max[i]);
  // Exp never quite reaches zero, so a hidden key adds 1e-38 to the sum; its own share is zero.
  Floats sum = {};
  for (int64_t i = first; i < last; i += kLanes) {
    const Floats e = simd::Exp(simd::Load(scores + i) - top);
    sum += e;
    simd::Store(scores + i, e);
  }
  const float scale = 1.0f / simd::Sum(sum);
  for (int64_t i = first; i < last; i += kLanes) {
    simd::Store(scores + i, simd::Load(scores + i) * scale);
  }
  std::fill(scores, scores + begin, 0.0f);
  std::fill(scores + end, scores + std::max(width, last), 0.0f);
}

// transposed[d][first + i] = row i of `keys` at d.
template <typename T>
EXTROSPECT_KERNEL void GatherTransposed(const T* keys, int64_t stride, int64_t count,
                                        int64_t head_dim, float* transposed, int64_t width) {
  for (int64_t i = 0; i < count; ++i, keys += stride) {
    for (int64_t d = 0; d < head_dim; ++d) transposed[d * width + i] = static_cast<float>(keys[d]);
  }
}

// Rows to float32, times `scale`, each padded with zeros to `width`.
template <typename T>
EXTROSPECT_KERNEL void GatherRows(const T* rows, int64_t stride, int64_t count, int64_t head_dim,
                                  float scale, float* out, int64_t width) {
  for (int64_t i = 0; i < count; ++i, rows += stride, out += width) {
    for (int64_t d = 0; d < head_dim; ++d) out[d] = static_cast<float>(rows[d]) * scale;
    for (int64_t d = head_dim; d < width; ++d) out[d] = 0.0f;
  }
}

struct Scratch {
  std::vector<float> keys, values, queries, scores, outputs;
};

// One sequence, one key head, query tokens [begin, end).
template <typename T>
void AttendTask(const T* qkv, const AttentionSpan<T>& span, int64_t kv_head, int64_t begin,
                int64_t end, int64_t window, const Architecture& architecture, Scratch& scratch,
                T* out) {
  const int64_t head_dim = architecture.head_dim, row_stride = architecture.qkv_size();
  const int64_t group = architecture.n_heads / architecture.n_kv_heads;
  // Keys that no query of this task sees are skipped.
  const int64_t n_keys = span.n_past + end;
  const int64_t first_key = window > 0 ? std::max<int64_t>(0, span.n_past + begin - window + 1) : 0;
  const int64_t width = RoundUp(n_keys - first_key, kBlockColumns);
  const int64_t value_width = RoundUp(head_dim, kBlockColumns);

  scratch.keys.assign(head_dim * width, 0.0f);
  scratch.values.resize(width * value_width);
  int64_t position = 0;
  for (const KeyRun<T>& run : span.keys) {
    const int64_t from = std::clamp<int64_t>(first_key - position, 0, run.count);
    const int64_t to = std::clamp<int64_t>(n_keys - position, 0, run.count);
    if (from < to) {
      const int64_t column = position + from - first_key;
      const int64_t offset = from * run.stride + kv_head * head_dim;
      GatherTransposed(run.keys + offset, run.stride, to - from, head_dim,
                       scratch.keys.data() + column, width);
      GatherRows(run.values + offset, run.stride, to - from, head_dim, 1.0f,
                 scratch.values.data() + column * value_width, value_width);
    }
    position += run.count;
  }
  std::fill(scratch.values.begin() + (n_keys - first_key) * value_width, scratch.values.end(), 0.f);

  // The tall query matrix: row = token · group + head within the group.
  const int64_t n_rows = (end - begin) * group;
  scratch.queries.resize(n_rows * head_dim);
  for (int64_t token = begin; token < end; ++token) {
    GatherRows(qkv + (span.first_row + token) * row_stride + kv_head * group * head_dim, head_dim,
               group, head_dim, static_cast<float>(architecture.attention_scale),
               scratch.queries.data() + (token - begin) * group * head_dim, head_dim);
  }
  scratch.scores.resize(kBlockRows * width);
  scratch.outputs.resize(kBlockRows * value_width);
  for (int64_t row = 0; row < n_rows; row += kBlockRows) {
    const int64_t rows = std::min(kBlockRows, n_rows - row);
    const int64_t last_token = begin + (row + rows - 1) / group;
    const int64_t depth = span.n_past + last_token + 1 - first_key;
    Multiply(scratch.queries.data() + row * head_dim, head_dim, scratch.keys.data(), width,
             scratch.scores.data(), width, rows, RoundUp(depth, kBlockColumns), head_dim);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t last_key = span.n_past + begin + (row + r) / group;
      const int64_t from = window > 0 ? std::max<int64_t>(0, last_key - window + 1) : 0;
      SoftmaxRow(scratch.scores.data() + r * width, std::max(from, first_key) - first_key,
                 last_key + 1 - first_key, depth,
                 static_cast<float>(architecture.attention_softcap));
    }
    Multiply(scratch.scores.data(), width, scratch.values.data(), value_width,
             scratch.outputs.data(), value_width, rows, value_width, depth);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t token = begin + (row + r) / group, head = kv_head * group + (row + r) % group;
      T* const to = out + (span.first_row + token) * architecture.q_size() + head * head_dim;
      const float* const from = scratch.outputs.data() + r * value_width;
      for (int64_t d = 0; d < head_dim; ++d) to[d] = static_cast<T>(from[d]);
    }
  }
}

}  // namespace

template <typename T>
void Attention(const T* qkv, const std::vector<AttentionSpan<T>>& spans, int64_t window,
               const Architecture& architecture, T* out) {
  struct Task {
    const AttentionSpan<T>* span;
    int64_t kv_head, begin, end;
  };
  std::vector<Task> tasks;
  for (const AttentionSpan<T>& span : spans) {
    for (int64_t kv_head = 0; kv_head < architecture.n_kv_heads; ++kv_head) {
      for (int64_t begin = 0; begin < span.n_rows; begin += kTaskRows) {
        tasks.push_back({&span, kv_head, begin, std::min(begin + kTaskRows, span.n_rows)});
      }
    }
  }
  // Tasks differ much in size: each thread takes the next one when it is done with its last.
  const auto n_tasks = static_cast<int64_t>(tasks.size());
  std::atomic<int64_t> next = 0;
  at::parallel_for(0, std::min<int64_t>(at::get_num_threads(), n_tasks), 1, [&](int64_t, int64_t) {
    Scratch scratch;
    for (int64_t i = next++; i < n_tasks; i = next++) {
      const Task& task = tasks[static_cast<size_t>(i)];
      AttendTask(qkv, *task.span, task.kv_head, task.begin, task.end, window, architecture, scratch,
                 out);
    }
  });
}

template void Attention<float>(const float*, const std::vector<AttentionSpan<float>>&, int64_t,
                               const Architecture&, float*);
template void Attention<c10::BFloat16>(const c10::BFloat16*,
                                       const std::vector<AttentionSpan<c10::BFloat16>>&, int64_t,
                                       const Architecture&, c10::BFloat16*);

}  // namespace extrospect::cpu
