// batches.h: the products of MatMul as NumPy defines them: matrices in broadcast batches.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/op.h"

namespace intact {

// Matrices [.., m, k] and [.., k, n]; a vector on the left is a row, on the right a column.
struct BatchedProduct {
  std::int64_t m, k, n;
  Shape shape;                                   // Of the result: without the m or n of a vector.
  std::vector<std::int64_t> a_offset, b_offset;  // Elements, one a pair of matrices.

  [[nodiscard]] std::int64_t count() const { return std::ssize(a_offset); }
};

// Errors: kInvalidModel, naming both shapes.
Result<BatchedProduct> read_batches(const ValueInfo& a, const ValueInfo& b);

}  // namespace intact
