#include "kernels/transpose.h"

#include <algorithm>

namespace intact {
namespace {

// A fixed-size inner tile lets the compiler keep it in registers and cache lines on both sides.
constexpr std::int64_t kTile = 16;

template <class T>
void transpose(const T* x, std::ptrdiff_t x_stride, std::int64_t rows, std::int64_t cols, T* y,
               std::ptrdiff_t y_stride) {
  for (std::int64_t r = 0; r < rows; r += kTile) {
    const std::int64_t r_end = std::min(rows, r + kTile);
    for (std::int64_t c = 0; c < cols; c += kTile) {
      const std::int64_t c_end = std::min(cols, c + kTile);
      if (r_end - r == kTile && c_end - c == kTile) {
        T tile[kTile][kTile];
        for (std::int64_t i = 0; i < kTile; ++i)
          for (std::int64_t j = 0; j < kTile; ++j) tile[j][i] = x[(r + i) * x_stride + c + j];
        for (std::int64_t j = 0; j < kTile; ++j)
          for (std::int64_t i = 0; i < kTile; ++i) y[(c + j) * y_stride + r + i] = tile[j][i];
      } else {
        for (std::int64_t j = c; j < c_end; ++j)
          for (std::int64_t i = r; i < r_end; ++i) y[j * y_stride + i] = x[i * x_stride + j];
      }
    }
  }
}

}  // namespace

void transpose_u8(const std::uint8_t* x, std::ptrdiff_t x_stride, std::int64_t rows,
                  std::int64_t cols, std::uint8_t* y, std::ptrdiff_t y_stride) noexcept {
  transpose(x, x_stride, rows, cols, y, y_stride);
}
void transpose_f32(const float* x, std::ptrdiff_t x_stride, std::int64_t rows, std::int64_t cols,
                   float* y, std::ptrdiff_t y_stride) noexcept {
  transpose(x, x_stride, rows, cols, y, y_stride);
}

}  // namespace intact
