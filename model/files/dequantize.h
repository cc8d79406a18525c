// Stored tensor elements to float32.
//
// The results equal those of the `gguf` Python package bit for bit: the same float32 operations in
// the same order. No state; calls on different outputs may run on several threads at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "model/files/tensor_view.h"

namespace extrospect {

// Writes the elements that the blocks in `in` hold to `out`. Throws Error unless `in` is a whole
// number of blocks and `out` has a place for each of their elements, and no more.
void Dequantize(GgmlType type, std::span<const std::byte> in, std::span<float> out);

// Rows first_row, …, first_row + row_count − 1 of a tensor, where a row is its innermost dimension
// (a tensor without dimensions is one row of one element) and all outer dimensions are laid end to
// end. `out` has row_count × columns places. Throws Error, naming the tensor, if the rows are not
// all in the tensor or `out` has another size.
void DequantizeRows(const TensorView& tensor, int64_t first_row, int64_t row_count,
                    std::span<float> out);

}  // namespace extrospect
