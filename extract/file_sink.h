// Rows of an extraction to an activation file.
#pragma once

#include <string>

#include "extract/extract.h"
#include "model/model.h"
#include "records/activations.h"

namespace extrospect {

// What a file says of the model that its rows come from. `dtype` is the compute dtype's name,
// `config` the resolved run as JSON; whether a decoder fits depends on neither.
ActivationOrigin OriginOf(const LanguageModel& model, const std::string& dtype = "",
                          const std::string& config = "");

// Writes rows in the stored type. Throws Error for values that float16 cannot hold.
class FileSink : public RowSink {
 public:
  // The file begins with this transcript and row of the extraction.
  FileSink(ActivationWriter& writer, StoreType store, uint32_t first_transcript = 0,
           uint64_t first_row = 0)
      : writer_(writer),
        store_(store),
        first_transcript_(first_transcript),
        first_row_(first_row) {}

  void Write(size_t hook, uint64_t first_row, const at::Tensor& rows) override;
  void Done(const std::vector<uint32_t>& transcripts) override;

 private:
  ActivationWriter& writer_;
  StoreType store_;
  uint32_t first_transcript_;
  uint64_t first_row_;
};

}  // namespace extrospect
