// Rows of an activation file, as a decoder wants them: one token selection, some hooks, pooled or
// not.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "decode/token_pool.h"
#include "records/activations.h"

namespace extrospect {

// The selections that a file holds, as its config lists them ("content", "last", …), and how.
struct FileSelections {
  std::vector<std::string> names;  // at least one; "" if the file does not say
  std::string pool = "none";       // "mean" or "none"

  // -1 if there is none of this name. A file that does not name its only selection has any.
  int64_t Find(const std::string& name) const;
};
// Throws Error if the file's config is not what `extract` writes.
FileSelections SelectionsOf(const ActivationReader& reader);

// Which rows of the file make one row here, and where they come from.
struct RowPlan {
  struct Row {
    uint32_t transcript = 0;
    uint32_t position = 0;
    uint32_t first_position = 0;
    int32_t token_id = 0;
    std::vector<uint64_t> sources;  // rows of the file that this is made of, ascending
  };
  std::vector<Row> rows;
};

// Every row of a selection; with a pool ("mean", "attention") over a file that is not pooled, one
// row of each transcript. Throws Error naming the file if it has no such selection, or only means
// where single tokens are needed (pools "none" and "attention").
RowPlan PlanRows(const ActivationReader& reader, const std::string& selection,
                 const std::string& pool);

// [rows, hooks, d_model] float32 on the CPU, each made of its sources by `pool`.
at::Tensor LoadRows(const ActivationReader& reader, const RowPlan& plan,
                    const std::vector<std::string>& hooks, const TokenPool& pool);

// The sources of one row as they are, [sources, hooks, d_model] float32 on the CPU.
at::Tensor LoadSources(const ActivationReader& reader, const RowPlan::Row& row,
                       const std::vector<std::string>& hooks);

}  // namespace extrospect
