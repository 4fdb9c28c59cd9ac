// wino43_u8s8.h: 3x3 convolution with stride 1 by Winograd's F(4, 3), exact in integers.
//
// It computes what gemm_u8s8.h (1) computes over the row pointers of conv_rows.h, bit for bit, with
// a quarter of the multiplications. A tile of 4 x 4 outputs of one channel is, with d the 6 x 6
// inputs x - za under it and g the 3 x 3 weights,
//
//   Y = A' [ sum_c (G g G') . (B' d B) ] A        . element by element, ' transposed (1)
//
//        | 4  0 -5  0  1  0 |        |  6  0  0 |        | 1  1  1  1  1  0 |
//        | 0 -4 -4  1  1  0 |        | -4 -4 -4 |   A' = | 0  1 -1  2 -2  0 |
//   B' = | 0  4 -4 -1  1  0 |   G =  | -4  4 -4 |        | 0  1  1  4  4  0 |
//        | 0 -2 -1  2  1  0 |        |  1  2  4 |        | 0  1 -1  8 -8  4 |
//        | 0  2 -1 -2  1  0 |        |  1 -2  4 |
//        | 0  4  0 -5  0  1 |        |  0  0  6 |
//
// G is 24 times the rational one (its last row 6 times, and A' makes up for it), so Y = 576 acc.
// |B' d B| <= 100 * 255 and |G g G'| <= 144 * 128 fit int16; sums of their products wrap modulo
// 2^32, and so does Y. But 576 = 64 * 9 and 9 has an inverse modulo 2^32:
//
//   acc + bias = ((Y + 576 bias) * 954437177 mod 2^32) >> 6 (2)
//
// exact whenever |acc + bias| < 2^25. wino43_is_exact proves that for a channel from its weights,
// as fits_int32 does for the direct kernels; what it refuses takes the direct kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernels/conv_rows.h"
#include "kernels/cpu_features.h"
#include "kernels/epilogue.h"
#include "kernels/gemm_u8s8.h"
#include "kernels/kernel_table.h"

namespace intact {

struct Wino43Shape {
  std::int64_t in_channels = 0;
  std::int64_t out_channels = 0;
  WindowGeometry window;  // 3 x 3, stride 1, dilation 1.
};

[[nodiscard]] constexpr std::int64_t wino43_tiles_x(const WindowGeometry& g) {
  return (g.out_w + 3) / 4;
}
[[nodiscard]] constexpr std::int64_t wino43_tiles(const WindowGeometry& g) {
  return (g.out_h + 3) / 4 * wino43_tiles_x(g);
}

struct Wino43U8S8Args {
  Wino43Shape shape;
  const std::uint8_t* in = nullptr;  // Pixel (0, 0). Up to 64 bytes after a pixel are read.
  std::ptrdiff_t in_row_bytes = 0;
  std::ptrdiff_t in_pixel_bytes = 0;
  const std::uint8_t* pad = nullptr;   // A pixel of zero points, with slack.
  std::int32_t za = 0;                 // Zero point of the input.
  const std::byte* packed = nullptr;   // From pack, 64-byte aligned.
  const std::int32_t* bias = nullptr;  // [padded_n(out_channels)]
  void* out = nullptr;                 // Output pixel (0, 0), channel 0.
  std::ptrdiff_t out_row_bytes = 0;
  std::ptrdiff_t out_pixel_bytes = 0;
  Epilogue epilogue;  // Row = output pixel index oy * out_w + ox.
  // The part to compute: tiles of 4 x 4 outputs, numbered by rows, and panels of 16 channels.
  std::int64_t tile_begin = 0;
  std::int64_t tile_end = 0;
  std::int64_t panel_begin = 0;
  std::int64_t panel_end = 0;
  std::byte* scratch = nullptr;  // scratch_bytes(shape), 64-byte aligned, one a thread.
};

struct Wino43U8S8Kernel {
  std::string_view name;
  IsaLevel isa;
  std::int32_t tile_m;  // Tiles and panels that are worked on together: split in multiples.
  std::int32_t tile_panels;
  std::size_t (*packed_bytes)(const Wino43Shape& shape);  // A multiple of 64.
  // Packs panels [panel_begin, panel_end) of s8 weights without zero point; taps are [3][3].
  void (*pack)(const Wino43Shape& shape, const GemmBSource& weights, std::int64_t panel_begin,
               std::int64_t panel_end, std::byte* packed);
  std::size_t (*scratch_bytes)(const Wino43Shape& shape);
  void (*run)(const Wino43U8S8Args& args);
};

// Returns true when a window is one that these kernels compute.
[[nodiscard]] constexpr bool wino43_takes(const WindowGeometry& g) {
  return g.kernel_h == 3 && g.kernel_w == 3 && g.stride_h == 1 && g.stride_w == 1 &&
         g.dilation_h == 1 && g.dilation_w == 1;
}

// Returns true when a channel is proven to satisfy (2): sum_abs max(za, 255 - za) + |bias| < 2^25.
[[nodiscard]] constexpr bool wino43_is_exact(std::int64_t sum_abs, std::int32_t za,
                                             std::int64_t bias) {
  const std::int64_t reach = za > 255 - za ? za : 255 - za;
  return sum_abs * reach + (bias < 0 ? -bias : bias) < (std::int64_t{1} << 25);
}

template <>
std::span<const Wino43U8S8Kernel* const> kernel_rows<Wino43U8S8Kernel>() noexcept;

}  // namespace intact
