#include "eval/activation_table.h"

#include <ATen/ATen.h>

#include "decode/activation_rows.h"
#include "model/index_tensor.h"

namespace extrospect {

ActivationTable::ActivationTable(const std::filesystem::path& path) : reader_(path) {
  for (const auto& record : reader_.layout().transcripts) {
    transcripts_.push_back(ParseTranscript(
        record.json, path.string() + ", transcript '" + record.id + "'", record.id));
  }
}

ActivationTable::Rows ActivationTable::Read(const std::vector<std::string>& hooks,
                                            const std::string& selection,
                                            const TokenPool& pool) const {
  const RowPlan plan = PlanRows(reader_, selection, pool.name());
  const at::Tensor values = LoadRows(reader_, plan, hooks, pool);
  const auto n = static_cast<int64_t>(transcripts_.size());
  Rows rows;
  rows.has.assign(n, 0);
  rows.first_position.assign(n, 0);
  rows.position.assign(n, 0);
  rows.values = at::zeros({n, values.size(1), values.size(2)},
                          at::TensorOptions(at::kFloat).device(at::kCPU));
  std::vector<int64_t> owners;
  for (const RowPlan::Row& row : plan.rows) {
    owners.push_back(row.transcript);
    rows.has[row.transcript] = 1;
    rows.first_position[row.transcript] = row.first_position;
    rows.position[row.transcript] = row.position;
  }
  rows.values.index_copy_(0, IndexTensor(owners, at::kCPU), values);
  return rows;
}

}  // namespace extrospect
