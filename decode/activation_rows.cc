#include "decode/activation_rows.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <span>

#include "base/bounded_json.h"
#include "base/error.h"
#include "base/text.h"
#include "model/index_tensor.h"

namespace extrospect {
namespace {

// Rows read at once: enough to be quick, little enough to stay in the cache's neighbourhood.
constexpr uint64_t kRowsAtOnce = 4096;

[[noreturn]] void ThrowNotFinite(const ActivationReader& reader, const std::string& hook,
                                 uint64_t row) {
  const ActivationLayout& layout = reader.layout();
  throw Error("an activation is not finite")
      .At(reader.path().string() + ", " + hook + ", transcript " +
          layout.transcripts[layout.transcript[row]].id + ", position " +
          std::to_string(layout.position[row]))
      .Hint(
          "the file is damaged, or the model's numbers overflowed: extract with --dtype f32, or "
          "leave the transcript out");
}

// Rows [first, first + count) of the file, [count, hooks, d_model].
at::Tensor ReadRange(const ActivationReader& reader, const std::vector<std::string>& hooks,
                     uint64_t first, uint64_t count) {
  const int64_t d = reader.origin().d_model, n = static_cast<int64_t>(count);
  const at::Tensor rows = at::empty({n, static_cast<int64_t>(hooks.size()), d},
                                    at::TensorOptions(at::kFloat).device(at::kCPU));
  const at::Tensor one = at::empty({n, d}, rows.options());
  float* const data = one.mutable_data_ptr<float>();
  for (size_t hook = 0; hook < hooks.size(); ++hook) {
    reader.Read(hooks[hook], first, count, {data, static_cast<size_t>(one.numel())});
    for (int64_t i = 0; i < n; ++i) {
      if (!std::all_of(data + i * d, data + (i + 1) * d,
                       [](float x) { return std::isfinite(x); })) {
        ThrowNotFinite(reader, hooks[hook], first + static_cast<uint64_t>(i));
      }
    }
    rows.select(1, static_cast<int64_t>(hook)).copy_(one);
  }
  return rows;
}

// The sources of a row, of a range of the file that begins with row `first`.
at::Tensor SourcesOf(const at::Tensor& range, uint64_t first, const RowPlan::Row& row) {
  const auto begin = static_cast<int64_t>(row.sources.front() - first);
  const auto count = static_cast<int64_t>(row.sources.size());
  if (row.sources.back() - row.sources.front() + 1 == row.sources.size()) {
    return range.narrow(0, begin, count);
  }
  std::vector<int64_t> places;
  for (const uint64_t source : row.sources) places.push_back(static_cast<int64_t>(source - first));
  return range.index_select(0, IndexTensor(places, at::kCPU));
}

// Rows of the plan lie in the file one behind another: some at a time, front to back.
at::Tensor LoadAttended(const ActivationReader& reader, const RowPlan& plan,
                        const std::vector<std::string>& hooks, const TokenPool& pool) {
  const at::Tensor out = at::zeros({static_cast<int64_t>(plan.rows.size()),
                                    static_cast<int64_t>(hooks.size()), reader.origin().d_model},
                                   at::TensorOptions(at::kFloat).device(at::kCPU));
  for (size_t begin = 0, end = 0; begin < plan.rows.size(); begin = end) {
    const uint64_t first = plan.rows[begin].sources.front();
    uint64_t last = first;
    for (; end < plan.rows.size(); ++end) {
      const uint64_t reaches = std::max(last, plan.rows[end].sources.back());
      if (end > begin && reaches - first >= kRowsAtOnce) break;
      last = reaches;
    }
    const at::Tensor range = ReadRange(reader, hooks, first, last - first + 1);
    for (size_t i = begin; i < end; ++i) {
      out[static_cast<int64_t>(i)].copy_(pool(SourcesOf(range, first, plan.rows[i])));
    }
  }
  return out;
}

}  // namespace

int64_t FileSelections::Find(const std::string& name) const {
  if (names.size() == 1 && names[0].empty()) return 0;
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? -1 : found - names.begin();
}

FileSelections SelectionsOf(const ActivationReader& reader) {
  FileSelections selections;
  try {
    const auto config =
        ParseBoundedJson(reader.origin().config, reader.path().string() + ", config");
    if (config.contains("tokens")) {
      const auto& tokens = config.at("tokens");
      if (tokens.is_string()) {
        selections.names = {tokens.get<std::string>()};
      } else {
        selections.names = tokens.get<std::vector<std::string>>();
      }
    }
    selections.pool =
        config.value("pool", reader.layout().first_position.empty() ? "none" : "mean");
  } catch (const nlohmann::json::exception& error) {
    throw Error("cannot read the activation file's config")
        .At(reader.path().string())
        .Found(error.what());
  }
  if (selections.names.empty()) selections.names = {""};
  const auto& numbers = reader.layout().selection;
  if (!numbers.empty() &&
      *std::max_element(numbers.begin(), numbers.end()) >= selections.names.size()) {
    throw Error("a row belongs to a selection that the activation file's config does not list")
        .At(reader.path().string());
  }
  return selections;
}

RowPlan PlanRows(const ActivationReader& reader, const std::string& selection,
                 const std::string& pool) {
  const FileSelections file = SelectionsOf(reader);
  const int64_t number = file.Find(selection);
  const std::string path = reader.path().string();
  if (number < 0) {
    throw Error("the activation file does not hold the token selection that is asked for")
        .At(path)
        .Expected(selection)
        .Found(Join(file.names))
        .Hint("extract with --tokens " + selection);
  }
  if (pool != "mean" && file.pool == "mean") {
    throw Error("the activation file holds means over tokens, not single tokens")
        .At(path)
        .Hint("extract with --pool none");
  }
  const ActivationLayout& layout = reader.layout();
  const bool merge = pool != "none" && file.pool == "none";
  RowPlan plan;
  for (uint64_t row = 0; row < layout.n_rows(); ++row) {
    if (!layout.selection.empty() && layout.selection[row] != number) continue;
    const uint32_t first =
        layout.first_position.empty() ? layout.position[row] : layout.first_position[row];
    if (merge && !plan.rows.empty() && plan.rows.back().transcript == layout.transcript[row]) {
      RowPlan::Row& merged = plan.rows.back();
      merged.sources.push_back(row);
      merged.position = layout.position[row];
      merged.token_id = layout.token_id[row];
      continue;
    }
    plan.rows.push_back(
        {layout.transcript[row], layout.position[row], first, layout.token_id[row], {row}});
  }
  return plan;
}

at::Tensor LoadRows(const ActivationReader& reader, const RowPlan& plan,
                    const std::vector<std::string>& hooks, const TokenPool& pool) {
  if (pool.attends()) return LoadAttended(reader, plan, hooks, pool);
  const auto n = static_cast<int64_t>(plan.rows.size());
  const int64_t d = reader.origin().d_model;
  const auto n_hooks = static_cast<int64_t>(hooks.size());
  at::Tensor out = at::zeros({n, n_hooks, d}, at::TensorOptions(at::kFloat).device(at::kCPU));
  if (n == 0) return out;
  const uint64_t total = reader.layout().n_rows();
  // Which row each row of the file goes to, so that the file is read once from front to back.
  std::vector<int64_t> target(total, -1);
  for (int64_t i = 0; i < n; ++i) {
    for (const uint64_t source : plan.rows[i].sources) target[source] = i;
  }
  std::vector<float> buffer(std::min(kRowsAtOnce, total) * static_cast<uint64_t>(d));
  float* const data = out.data_ptr<float>();
  for (int64_t hook = 0; hook < n_hooks; ++hook) {
    for (uint64_t first = 0; first < total; first += kRowsAtOnce) {
      const uint64_t count = std::min(kRowsAtOnce, total - first);
      const auto begin = target.begin() + static_cast<ptrdiff_t>(first);
      if (std::all_of(begin, begin + static_cast<ptrdiff_t>(count),
                      [](int64_t row) { return row < 0; })) {
        continue;
      }
      reader.Read(hooks[hook], first, count,
                  std::span<float>(buffer).first(count * static_cast<uint64_t>(d)));
      for (uint64_t k = 0; k < count; ++k) {
        const int64_t row = target[first + k];
        if (row < 0) continue;
        const float weight = 1.0f / static_cast<float>(plan.rows[row].sources.size());
        float* const to = data + (row * n_hooks + hook) * d;
        const float* const from = buffer.data() + k * static_cast<uint64_t>(d);
        bool finite = true;
        for (int64_t j = 0; j < d; ++j) {
          finite &= std::isfinite(from[j]);
          to[j] += weight * from[j];
        }
        if (!finite) ThrowNotFinite(reader, hooks[hook], first + k);
      }
    }
  }
  return out;
}

at::Tensor LoadSources(const ActivationReader& reader, const RowPlan::Row& row,
                       const std::vector<std::string>& hooks) {
  const uint64_t first = row.sources.front(), count = row.sources.back() - first + 1;
  return SourcesOf(ReadRange(reader, hooks, first, count), first, row);
}

}  // namespace extrospect
