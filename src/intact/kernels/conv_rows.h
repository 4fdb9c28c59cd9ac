// conv_rows.h: the row pointers that turn a channels-last convolution into a GEMM.
//
// Output pixel (oy, ox) reads, at kernel position (ky, kx), the input pixel
//
//   iy = oy * stride_y + ky * dilation_y - pad_top,   ix = ox * stride_x + kx * dilation_x -
//   pad_left
//
// or the line `pad` (a pixel of zero points) where that lies outside of the image.
#pragma once

#include <cstddef>
#include <cstdint>

namespace intact {

// A window sliding over one channels-last image; the same for convolution, depthwise and pooling.
struct WindowGeometry {
  std::int64_t in_h = 0, in_w = 0, out_h = 0, out_w = 0;
  std::int32_t kernel_h = 1, kernel_w = 1;
  std::int32_t stride_h = 1, stride_w = 1;
  std::int32_t dilation_h = 1, dilation_w = 1;
  std::int32_t pad_top = 0, pad_left = 0;  // Bottom and right follow from out_h and out_w.
};

// Writes rows[tap * rows_stride + (pixel - pixel_begin)] for pixels [pixel_begin, pixel_end) of the
// output in row-major order and taps = kernel_h * kernel_w in row-major order. The table therefore
// starts at pixel_begin: call the GEMM with row_begin = 0 and `out` at pixel_begin.
// `image` is input pixel (0, 0); strides are in bytes.
void fill_conv_rows(const WindowGeometry& g, const std::uint8_t* image, std::ptrdiff_t in_row_bytes,
                    std::ptrdiff_t in_pixel_bytes, const std::uint8_t* pad,
                    std::int64_t pixel_begin, std::int64_t pixel_end, const std::uint8_t** rows,
                    std::ptrdiff_t rows_stride) noexcept;

}  // namespace intact
