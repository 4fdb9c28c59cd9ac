// moves.h: steps that only move elements, as tasks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/op.h"

namespace intact {

// out[out_offset + sum_d i_d out_strides_d] = in[in_offset + sum_d i_d in_strides_d] for all i_d in
// [0, sizes_d), in elements. In strides may be zero or negative.
struct Move {
  std::size_t input = 0, output = 0;
  std::vector<std::int64_t> sizes, in_strides, out_strides;
  std::int64_t in_offset = 0, out_offset = 0;
};

// Plans moves of elements of so many bytes, which together write every element of the outputs once.
// They are cut along an axis that all of them have in common, where there is one.
void plan_moves(OpContext& c, const std::vector<Move>& moves, std::size_t element_bytes);

}  // namespace intact
