// moments.h: sums of products of layer inputs, as rounding.h and correct.h need them.
//
//   H += sum_r x_r x_r^T     C += sum_r y_r x_r^T     m += sum_r x_r (19)
//
// Products and sums of kMomentRows consecutive rows are float32, those of the groups double: an
// error of kMomentRows 2^-24 relative to sum |x_i x_j|, at twice the speed of double. Every sum
// runs over ascending rows in a fixed grouping, so bytes depend on the rows alone, not on threads
// or vector width. Calls add up: give whole samples, in their order.
#pragma once

#include <cstddef>
#include <span>

#include "base/thread_pool.h"

namespace intact {

inline constexpr std::size_t kMomentRows = 32;

// H: [k, k], both triangles.   x: [rows, k]   `pool` may be null.
void add_second_moment(std::span<const float> x, std::size_t k, std::span<double> h,
                       ThreadPool* pool = nullptr);

// C: [k, k], row of y, column of x.   y, x: [rows, k], the same rows.
void add_cross_moment(std::span<const float> y, std::span<const float> x, std::size_t k,
                      std::span<double> c, ThreadPool* pool = nullptr);

// m: [k], in double.
void add_sums(std::span<const float> x, std::size_t k, std::span<double> m);

// Turns sums of raw products into those of centred ones, C - count m_y m_x^T, with the means
// m = sums / count: what a layer with a bias wants, because its bias takes the means.
//   moment: [k, k]   row_sums: [k] of the rows' variable   column_sums: [k]
// Cancels when means are large against deviations: centre x before adding where that matters.
void centre_moment(std::span<double> moment, std::span<const double> row_sums,
                   std::span<const double> column_sums, double count);

}  // namespace intact
