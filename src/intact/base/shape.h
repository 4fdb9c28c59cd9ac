// shape.h: the sizes of a tensor, outermost first.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "intact/result.h"

namespace intact {

inline constexpr int kMaxRank = 16;
// More elements than this in one tensor are refused: byte offsets stay far from overflow.
inline constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;

// A concrete shape; every size is >= 0. Rank 0 is a scalar with one element.
using Shape = std::vector<std::int64_t>;

// Returns the product of the sizes. Requires a shape that check_shape accepts.
std::int64_t num_elements(std::span<const std::int64_t> shape) noexcept;

// Returns nothing, or why the shape is refused: rank above kMaxRank, a negative size, or more than
// kMaxElements elements, sizes of zero counted as one.
Status check_shape(std::span<const std::int64_t> shape);

// Returns "[1,3,224,224]".
std::string to_string(std::span<const std::int64_t> shape);

// Returns the row-major strides in elements.
std::vector<std::int64_t> row_major_strides(std::span<const std::int64_t> shape);

// Returns the shape of an element-wise operation with NumPy broadcasting.
// Errors: kInvalidModel when two sizes differ and neither is 1.
Result<Shape> broadcast(std::span<const std::int64_t> a, std::span<const std::int64_t> b);

// Maps an axis in [-rank, rank) to [0, rank). Errors: kInvalidModel outside of it.
Result<int> normalize_axis(std::int64_t axis, std::size_t rank);

}  // namespace intact
