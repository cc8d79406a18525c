// An activation file as the evaluation uses it: transcripts with labels, one row per selection.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "decode/token_pool.h"
#include "records/activations.h"
#include "records/transcripts.h"

namespace extrospect {

class ActivationTable {
 public:
  explicit ActivationTable(const std::filesystem::path& path);

  const ActivationReader& reader() const { return reader_; }
  // The transcripts that the file carries, in its order, with their labels.
  const std::vector<Transcript>& transcripts() const { return transcripts_; }
  // For each transcript a row of every hook, [transcripts, hooks, d_model] float32 on the CPU; the
  // pool of a selection with several rows. Transcripts without such rows have has[i] == 0 and
  // zeros. Throws Error if hook or selection are not in the file.
  struct Rows {
    at::Tensor values;
    std::vector<uint8_t> has;
    std::vector<uint32_t> first_position, position;  // by transcript
  };
  Rows Read(const std::vector<std::string>& hooks, const std::string& selection,
            const TokenPool& pool) const;

 private:
  ActivationReader reader_;
  std::vector<Transcript> transcripts_;
};

}  // namespace extrospect
