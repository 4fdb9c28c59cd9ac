// chain_ways.h: the ways of intact.Chain (chain_ops.cc).
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "runtime/ops/chain.h"

namespace intact {

// x: the map of input 0's codes; y: of the output's. Nothing where they are reals.
using OptionalMap = std::optional<TensorMap>;

// A function of one tensor of codes that leaves codes: a table of 256 entries, evaluated in double
// and rounded once, so it is exact. Returns false, with nothing done, where an operand is more than
// a constant.
bool plan_table(OpContext& c, const Chain& chain, const TensorMap& x, const TensorMap& y);

// Sums and products that meet whole rows: one pass in registers from x to the result. Returns
// false, with nothing done, for other operators.
bool plan_arithmetic(OpContext& c, const Chain& chain, const OptionalMap& x, const OptionalMap& y);

// Operands that meet whole rows: blocks of rows in float, which stay in the first-level cache.
void plan_rows(OpContext& c, Chain chain, const OptionalMap& x, const OptionalMap& y);

// Anything else: pieces of rows in float.
void plan_pieces(OpContext& c, const Chain& chain, const OptionalMap& x, const OptionalMap& y);

// Elements [begin, end) of rows of `cols` as rectangles: what is left of a row, whole rows, a row's
// first ones.
struct Rectangle {
  std::int64_t row, rows, col, cols;
};
template <class Visit>
void visit_rectangles(std::int64_t begin, std::int64_t end, std::int64_t cols, const Visit& visit) {
  while (begin < end) {
    const std::int64_t col = begin % cols, left = end - begin;
    const bool whole = col == 0 && left >= cols;
    const Rectangle r{begin / cols, whole ? left / cols : 1, col,
                      whole ? cols : std::min(cols - col, left)};
    visit(r);
    begin += r.rows * r.cols;
  }
}

}  // namespace intact
