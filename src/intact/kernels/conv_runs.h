// conv_runs.h: the row pointers of conv_rows.h with the taps of a kernel row joined.
//
// Where those taps are neighbours (dilation_w == 1) and every channel of the image is read, an
// output pixel reads kernel_w * channels elements of one input row that lie in one run. A GEMM then
// has kernel_h taps of that many elements instead of kernel_h * kernel_w taps of `channels`: the
// same k in the same order. Runs that stick out of the image are copied beside padding, once an
// input row.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/conv_rows.h"

namespace intact {

class ConvRuns {
 public:
  ConvRuns(const WindowGeometry& g, std::int64_t channels) noexcept;

  [[nodiscard]] static bool can_join(const WindowGeometry& g) noexcept { return g.dilation_w == 1; }
  [[nodiscard]] std::int64_t run() const noexcept { return run_; }  // Elements.

  // Elements of `edges` that fill() needs for at most that many output pixels.
  [[nodiscard]] std::int64_t edge_elems(std::int64_t pixels) const noexcept;

  // Writes rows[ky * rows_stride + (pixel - pixel_begin)] for output pixels [pixel_begin,
  // pixel_end). `image` is input pixel (0, 0) of a dense image of float or std::uint8_t; `edges`
  // must live as long as rows.
  template <class T>
  void fill(const T* image, T pad, std::int64_t pixel_begin, std::int64_t pixel_end, T* edges,
            const T** rows, std::ptrdiff_t rows_stride) const noexcept;

 private:
  // Input rows that output rows [oy_begin, oy_end) read: [first, last).
  struct Rows {
    std::int64_t first, last;
  };
  [[nodiscard]] Rows input_rows(std::int64_t oy_begin, std::int64_t oy_end) const noexcept;
  [[nodiscard]] std::int64_t edges_a_row() const noexcept { return left_ + g_.out_w - right_; }
  template <class T>
  void copy_edge(const T* row, T pad, std::int64_t ox, T* to) const noexcept;

  WindowGeometry g_;
  std::int64_t channels_, run_;
  std::int64_t left_, right_;  // Output columns [left_, right_) see whole runs.
};

}  // namespace intact
