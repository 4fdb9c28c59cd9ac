// window_f32.h: what slides a window over a channels-last float image, channel by channel.
//
//   depthwise  y[p, c] = epilogue(fma chain over the taps inside the image, row-major, of x w) (1)
//   max        y[p, c] = max over the taps inside the image; NaN wins; of +0 and -0 the earlier
//   average    y[p, c] = S / count, S = lane sum (rows_f32.h) of the taps inside the image (2)
//
// Window positions as in conv_rows.h. count is kernel_h * kernel_w with include_pad, less what lies
// beyond the declared padding (ceil mode), else the number of taps inside the image. A window
// without any tap inside gives epilogue(0), -inf, and 0 / count (NaN for 0 / 0). A global average
// is a window of the whole image and equals reduce_first's mean. Strides are in elements. Nothing
// is read beyond a row's last channel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernels/conv_rows.h"
#include "kernels/cpu_features.h"
#include "kernels/gemm_f32.h"  // EpilogueF32
#include "kernels/kernel_table.h"

namespace intact {

struct WindowF32Args {
  std::int64_t channels = 0;
  WindowGeometry window{};
  const float* in = nullptr;  // Pixel (0, 0).
  std::ptrdiff_t in_row_stride = 0;
  std::ptrdiff_t in_pixel_stride = 0;
  float* out = nullptr;  // Output pixel (0, 0).
  std::ptrdiff_t out_row_stride = 0;
  std::ptrdiff_t out_pixel_stride = 0;
  std::int64_t row_begin = 0;  // Output rows oy in [row_begin, row_end).
  std::int64_t row_end = 0;
  // Depthwise only:
  const float* weights = nullptr;  // [kernel_h][kernel_w][channels]
  EpilogueF32 epilogue{};          // Row = output pixel index oy * out_w + ox.
  // Average only:
  bool include_pad = false;
  std::int32_t pad_bottom = 0, pad_right = 0;
};

struct WindowF32Kernel {
  std::string_view name;
  IsaLevel isa;
  void (*depthwise)(const WindowF32Args& args);
  void (*max)(const WindowF32Args& args);
  void (*average)(const WindowF32Args& args);
};

template <>
std::span<const WindowF32Kernel* const> kernel_rows<WindowF32Kernel>() noexcept;

}  // namespace intact
