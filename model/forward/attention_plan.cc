#include "model/forward/attention_plan.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "model/forward/ops.h"
#include "model/index_tensor.h"

namespace extrospect {
namespace {

// A group may be this much larger, in query-key pairs, than what its sequences need.
constexpr int64_t kMaxPadding = 2;

int64_t Keys(const AttentionSpan& span) { return span.n_past + span.n_rows; }

}  // namespace

AttentionPlan::AttentionPlan(const std::vector<AttentionSpan>& spans, int64_t n_rows,
                             int64_t window, at::Device device) {
  // The key source: distinct runs, told apart by where their memory begins.
  std::map<std::pair<const void*, int64_t>, int64_t> offsets;
  int64_t n_source = 0;
  for (size_t i = 0; i < spans.size(); ++i) {
    for (size_t k = 0; k < spans[i].past.size(); ++k) {
      const KeyRun& run = spans[i].past[k];
      if (run.first_row >= 0) continue;
      const auto [place, is_new] =
          offsets.emplace(std::pair(run.keys.const_data_ptr(), run.count()), n_source);
      if (!is_new) continue;
      sources_.emplace_back(i, k);
      n_source += run.count();
    }
  }
  std::vector<size_t> order(spans.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(spans[a].n_rows, Keys(spans[a])) < std::pair(spans[b].n_rows, Keys(spans[b]));
  });
  std::vector<int64_t> unpad(static_cast<size_t>(n_rows));
  int64_t padded_rows = 0;
  for (size_t begin = 0; begin < order.size();) {
    Group group;
    int64_t needed = 0;
    size_t end = begin;
    for (; end < order.size(); ++end) {
      const AttentionSpan& span = spans[order[end]];
      const int64_t queries = std::max(group.n_queries, span.n_rows);
      const int64_t keys = std::max(group.n_keys, Keys(span));
      const int64_t all = needed + span.n_rows * Keys(span);
      if (end > begin &&
          static_cast<int64_t>(end - begin + 1) * queries * keys > kMaxPadding * all) {
        break;
      }
      group.n_queries = queries;
      group.n_keys = keys;
      needed = all;
    }
    group.n = static_cast<int64_t>(end - begin);
    std::vector<int64_t> queries(static_cast<size_t>(group.n * group.n_queries), 0);
    std::vector<int64_t> keys(static_cast<size_t>(group.n * group.n_keys), n_source);
    at::Tensor visible = at::zeros({group.n, 1, group.n_queries, group.n_keys},
                                   at::TensorOptions(at::kBool).device(at::kCPU));
    bool* const sees = visible.mutable_data_ptr<bool>();
    for (int64_t i = 0; i < group.n; ++i) {
      const AttentionSpan& span = spans[order[begin + static_cast<size_t>(i)]];
      int64_t* key = keys.data() + i * group.n_keys;
      for (const KeyRun& run : span.past) {
        const int64_t first = run.first_row >= 0
                                  ? n_source + run.first_row
                                  : offsets.at({run.keys.const_data_ptr(), run.count()});
        for (int64_t k = 0; k < run.count(); ++k) *key++ = first + k;
      }
      for (int64_t row = 0; row < span.n_rows; ++row) {
        *key++ = n_source + span.first_row + row;
        queries[static_cast<size_t>(i * group.n_queries + row)] = span.first_row + row;
        unpad[static_cast<size_t>(span.first_row + row)] = padded_rows + i * group.n_queries + row;
      }
      for (int64_t row = 0; row < group.n_queries; ++row) {
        bool* const line = sees + (i * group.n_queries + row) * group.n_keys;
        // Padding sees one key, so that its softmax is a number.
        const int64_t last = row < span.n_rows ? span.n_past + row : 0;
        const int64_t from = window > 0 ? std::max<int64_t>(0, last - window + 1) : 0;
        std::fill(line + from, line + last + 1, true);
      }
    }
    padded_rows += group.n * group.n_queries;
    group.queries = IndexTensor(queries, device);
    group.keys = IndexTensor(keys, device);
    group.visible = visible.to(device);
    groups_.push_back(std::move(group));
    begin = end;
  }
  unpad_ = IndexTensor(unpad, device);
}

}  // namespace extrospect
