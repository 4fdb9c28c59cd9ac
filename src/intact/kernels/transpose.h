// transpose.h: y[c * y_stride + r] = x[r * x_stride + c], in tiles that stay in L1.
//
// The layout changes NCHW <-> NHWC (rows = C, cols = H * W, or the reverse) and strided weights.
// Strides are in elements. x and y must not overlap.
#pragma once

#include <cstddef>
#include <cstdint>

namespace intact {

void transpose_u8(const std::uint8_t* x, std::ptrdiff_t x_stride, std::int64_t rows,
                  std::int64_t cols, std::uint8_t* y, std::ptrdiff_t y_stride) noexcept;
void transpose_f32(const float* x, std::ptrdiff_t x_stride, std::int64_t rows, std::int64_t cols,
                   float* y, std::ptrdiff_t y_stride) noexcept;

}  // namespace intact
