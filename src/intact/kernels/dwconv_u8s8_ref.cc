// The definition of dwconv_u8s8, and the row for weights with zero points: int64 sums.
#include <algorithm>
#include <cstring>

#include "kernels/dwconv_u8s8.h"
#include "kernels/epilogue_ref.h"

namespace intact {
namespace {

// Packed: za, then per channel the bias and [kernel_h][kernel_w] differences w - zw, all int32.
std::int64_t channel_words(const WindowGeometry& g) {
  return 1 + std::int64_t{g.kernel_h} * g.kernel_w;
}

std::size_t packed_bytes(const DwconvShape& s) {
  const std::int64_t words = 1 + s.channels * channel_words(s.window);
  return static_cast<std::size_t>((words * 4 + 63) / 64 * 64);
}

void pack(const DwconvShape& s, const DwconvWeights& w, std::byte* packed) {
  const WindowGeometry& g = s.window;
  auto* out = reinterpret_cast<std::int32_t*>(packed);
  *out++ = w.za;
  for (std::int64_t c = 0; c < s.channels; ++c) {
    *out++ = w.bias != nullptr ? w.bias[c] : 0;
    for (int y = 0; y < g.kernel_h; ++y)
      for (int x = 0; x < g.kernel_w; ++x) {
        const std::uint8_t byte = *(static_cast<const std::uint8_t*>(w.w) + c * w.channel_bytes +
                                    y * w.y_bytes + x * w.x_bytes);
        const std::int32_t code =
            w.is_unsigned ? std::int32_t{byte} : std::int32_t{static_cast<std::int8_t>(byte)};
        *out++ = code - (w.zw != nullptr ? w.zw[c] : 0);
      }
  }
}

std::size_t scratch_bytes(const DwconvShape&) { return 0; }

void run(const DwconvU8S8Args& a) {
  const WindowGeometry& g = a.shape.window;
  const auto* packed = reinterpret_cast<const std::int32_t*>(a.packed);
  const std::int32_t za = *packed++;
  for (std::int64_t oy = a.row_begin; oy < a.row_end; ++oy)
    for (std::int64_t ox = 0; ox < g.out_w; ++ox)
      for (std::int64_t c = a.channel_begin; c < std::min(a.channel_end, a.shape.channels); ++c) {
        const std::int32_t* w = packed + c * channel_words(g);
        std::int64_t acc = *w++;
        for (int ky = 0; ky < g.kernel_h; ++ky)
          for (int kx = 0; kx < g.kernel_w; ++kx, ++w) {
            const std::int64_t iy = oy * g.stride_h + ky * g.dilation_h - g.pad_top;
            const std::int64_t ix = ox * g.stride_w + kx * g.dilation_w - g.pad_left;
            if (iy < 0 || iy >= g.in_h || ix < 0 || ix >= g.in_w) continue;
            const std::int32_t x = a.in[iy * a.in_row_bytes + ix * a.in_pixel_bytes + c];
            acc += std::int64_t{x - za} * *w;
          }
        const std::int64_t pixel = oy * g.out_w + ox;
        epilogue_element(
            a.epilogue, acc, pixel, c,
            static_cast<std::byte*>(a.out) + oy * a.out_row_bytes + ox * a.out_pixel_bytes);
      }
}

constinit const DwconvU8S8Kernel kDwconvU8S8Int64 = {.name = "dwconv_u8s8/int64",
                                                     .isa = IsaLevel::kScalar,
                                                     .packed_bytes = &packed_bytes,
                                                     .pack = &pack,
                                                     .scratch_bytes = &scratch_bytes,
                                                     .run = &run};
}  // namespace

const DwconvU8S8Kernel& dwconv_u8s8_int64() noexcept { return kDwconvU8S8Int64; }

}  // namespace intact
