#include "kernels/conv_rows.h"

#include <algorithm>

namespace intact {

void fill_conv_rows(const WindowGeometry& g, const std::uint8_t* image, std::ptrdiff_t in_row_bytes,
                    std::ptrdiff_t in_pixel_bytes, const std::uint8_t* pad,
                    std::int64_t pixel_begin, std::int64_t pixel_end, const std::uint8_t** rows,
                    std::ptrdiff_t rows_stride) noexcept {
  for (std::int64_t ky = 0; ky < g.kernel_h; ++ky)
    for (std::int64_t kx = 0; kx < g.kernel_w; ++kx, rows += rows_stride) {
      // Output columns [ox0, ox1) see a pixel of the image, if the row is inside.
      const std::int64_t shift = kx * g.dilation_w - g.pad_left;
      const std::int64_t ox0 = shift >= 0 ? 0 : (-shift + g.stride_w - 1) / g.stride_w;
      const std::int64_t last = g.in_w - 1 - shift;
      const std::int64_t ox1 = last < 0 ? 0 : std::min(g.out_w, last / g.stride_w + 1);
      const std::ptrdiff_t step = g.stride_w * in_pixel_bytes;
      const std::uint8_t** out = rows;
      for (std::int64_t pixel = pixel_begin; pixel < pixel_end;) {
        const std::int64_t oy = pixel / g.out_w;
        const std::int64_t begin = pixel % g.out_w;
        const std::int64_t end = std::min(g.out_w, begin + pixel_end - pixel);
        const std::int64_t iy = oy * g.stride_h + ky * g.dilation_h - g.pad_top;
        const bool inside = iy >= 0 && iy < g.in_h;
        const std::int64_t first = inside ? std::clamp(ox0, begin, end) : end;
        const std::int64_t stop = inside ? std::clamp(ox1, first, end) : end;
        std::int64_t ox = begin;
        for (; ox < first; ++ox) *out++ = pad;
        if (ox < stop) {
          const std::uint8_t* p =
              image + iy * in_row_bytes + (ox * g.stride_w + shift) * in_pixel_bytes;
          for (; ox < stop; ++ox, p += step) *out++ = p;
        }
        for (; ox < end; ++ox) *out++ = pad;
        pixel += end - begin;
      }
    }
}

}  // namespace intact
