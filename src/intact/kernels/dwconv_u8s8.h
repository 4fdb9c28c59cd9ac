// dwconv_u8s8.h: depthwise convolution on channels-last codes.
//
//   acc[oy, ox, c] = bias[c] + sum_{ky, kx} (x[iy, ix, c] - za) w[c, ky, kx],   y = epilogue(acc)
//
// iy, ix as in conv_rows.h; outside of the image x is za (the caller's line of zero points).
// Weights are s8 without zero point (a file that has one runs through the int64 row). Exact when
// sum |w| max(za, 255 - za) + |bias| < 2^31, which any kernel up to 65,000 taps satisfies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

#include "kernels/conv_rows.h"
#include "kernels/cpu_features.h"
#include "kernels/epilogue.h"
#include "kernels/kernel_table.h"

namespace intact {

// What the blocks of channels of every row divide.
inline constexpr std::int64_t kDwconvChannels = 64;

struct DwconvShape {
  std::int64_t channels = 0;
  WindowGeometry window;
};

// Weight (c, ky, kx) is w[c * channel_bytes + ky * y_bytes + kx * x_bytes].
struct DwconvWeights {
  const void* w = nullptr;
  bool is_unsigned = false;  // u8; only the int64 row accepts it.
  std::ptrdiff_t channel_bytes = 0;
  std::ptrdiff_t y_bytes = 0;
  std::ptrdiff_t x_bytes = 0;
  const std::int32_t* bias = nullptr;  // [C]; null: 0.
  std::int32_t za = 0;
  const std::int32_t* zw = nullptr;  // [C]; only the int64 row accepts it; null: 0.
};

struct DwconvU8S8Args {
  DwconvShape shape;
  const std::uint8_t* in = nullptr;  // Pixel (0, 0).
  std::ptrdiff_t in_row_bytes = 0;
  std::ptrdiff_t in_pixel_bytes = 0;
  const std::uint8_t* pad = nullptr;  // A pixel of zero points, with slack.
  const std::byte* packed = nullptr;  // From pack, 64-byte aligned.
  void* out = nullptr;                // Output pixel (0, 0).
  std::ptrdiff_t out_row_bytes = 0;
  std::ptrdiff_t out_pixel_bytes = 0;
  Epilogue epilogue;           // Row = output pixel index oy * out_w + ox.
  std::int64_t row_begin = 0;  // Output rows oy in [row_begin, row_end).
  std::int64_t row_end = 0;
  // Channels [channel_begin, channel_end), of those that there are; multiples of kDwconvChannels.
  std::int64_t channel_begin = 0;
  std::int64_t channel_end = std::numeric_limits<std::int64_t>::max();
  std::byte* scratch = nullptr;  // scratch_bytes(shape), 64-byte aligned, one a thread.
};

struct DwconvU8S8Kernel {
  std::string_view name;
  IsaLevel isa;
  std::size_t (*packed_bytes)(const DwconvShape& shape);  // A multiple of 64.
  void (*pack)(const DwconvShape& shape, const DwconvWeights& weights, std::byte* packed);
  std::size_t (*scratch_bytes)(const DwconvShape& shape);
  void (*run)(const DwconvU8S8Args& args);
};

template <>
std::span<const DwconvU8S8Kernel* const> kernel_rows<DwconvU8S8Kernel>() noexcept;
// Weights with zero points, and the definition that every row must equal (dwconv_u8s8_ref.cc).
const DwconvU8S8Kernel& dwconv_u8s8_int64() noexcept;

}  // namespace intact
