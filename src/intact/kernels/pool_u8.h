// pool_u8.h: pooling on channels-last codes.
//
//   max      y = max over the window's pixels inside the image
//   average  y = clamp(rne(float(S) m), lo - z, hi - z) + z,   S = sum (x - za), m = float32(ratio
//   / count)
//
// count is kernel_h * kernel_w with include_pad, else the number of pixels inside the image (at
// least one in every window); ratio = s_x / s_y in double. Positions beyond the declared padding
// (ceil mode) never count: pad_bottom and pad_right bound the window with include_pad.
// A global average is a window of the whole image.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernels/conv_rows.h"
#include "kernels/cpu_features.h"
#include "kernels/epilogue.h"
#include "kernels/kernel_table.h"

namespace intact {

struct PoolU8Args {
  std::int64_t channels = 0;
  WindowGeometry window;
  const std::uint8_t* in = nullptr;  // Pixel (0, 0).
  std::ptrdiff_t in_row_bytes = 0;
  std::ptrdiff_t in_pixel_bytes = 0;
  std::uint8_t* out = nullptr;  // Output pixel (0, 0).
  std::ptrdiff_t out_row_bytes = 0;
  std::ptrdiff_t out_pixel_bytes = 0;
  std::int64_t row_begin = 0;  // Output rows.
  std::int64_t row_end = 0;
  // Average only:
  std::int32_t za = 0;
  double ratio = 1.0;
  bool include_pad = false;
  std::int32_t pad_bottom = 0, pad_right = 0;
  CodeLimits codes;
  const std::uint8_t* lut = nullptr;  // [256] applied to y (both kinds); null: identity.
  std::byte* scratch = nullptr;       // scratch_bytes(channels), 64-byte aligned, one a thread.
};

struct PoolU8Kernel {
  std::string_view name;
  IsaLevel isa;
  std::size_t (*scratch_bytes)(std::int64_t channels);
  void (*max)(const PoolU8Args& args);
  void (*average)(const PoolU8Args& args);
};

template <>
std::span<const PoolU8Kernel* const> kernel_rows<PoolU8Kernel>() noexcept;
const PoolU8Kernel& pool_u8_ref() noexcept;  // The definition.

}  // namespace intact
