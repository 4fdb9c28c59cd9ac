// The definition of pool_u8, one element at a time.
#include <algorithm>

#include "kernels/epilogue_ref.h"
#include "kernels/pool_u8.h"

namespace intact {
namespace {

template <class Finish>
void pool(const PoolU8Args& a, Finish finish) {
  const WindowGeometry& g = a.window;
  for (std::int64_t oy = a.row_begin; oy < a.row_end; ++oy)
    for (std::int64_t ox = 0; ox < g.out_w; ++ox)
      for (std::int64_t c = 0; c < a.channels; ++c) {
        std::int64_t sum = 0;
        std::int64_t inside = 0;
        std::int64_t padded = 0;
        int best = 0;
        for (int ky = 0; ky < g.kernel_h; ++ky)
          for (int kx = 0; kx < g.kernel_w; ++kx) {
            const std::int64_t iy = oy * g.stride_h + ky * g.dilation_h - g.pad_top;
            const std::int64_t ix = ox * g.stride_w + kx * g.dilation_w - g.pad_left;
            padded += iy < g.in_h + a.pad_bottom && ix < g.in_w + a.pad_right ? 1 : 0;
            if (iy < 0 || iy >= g.in_h || ix < 0 || ix >= g.in_w) continue;
            const int x = a.in[iy * a.in_row_bytes + ix * a.in_pixel_bytes + c];
            sum += x - a.za;
            best = std::max(best, x);
            ++inside;
          }
        const std::uint8_t code = finish(sum, a.include_pad ? padded : inside, best);
        a.out[oy * a.out_row_bytes + ox * a.out_pixel_bytes + c] =
            a.lut != nullptr ? a.lut[code] : code;
      }
}

std::size_t scratch_bytes(std::int64_t) { return 0; }

void max(const PoolU8Args& a) {
  pool(a, [](std::int64_t, std::int64_t, int best) { return static_cast<std::uint8_t>(best); });
}

void average(const PoolU8Args& a) {
  pool(a, [&](std::int64_t sum, std::int64_t count, int) {
    const auto m = static_cast<float>(a.ratio / static_cast<double>(count));
    const float f = round_to_limits(static_cast<float>(sum) * m, a.codes);
    return static_cast<std::uint8_t>(static_cast<std::int32_t>(f) + a.codes.zero);
  });
}

constinit const PoolU8Kernel kPoolU8Ref = {.name = "pool_u8/ref",
                                           .isa = IsaLevel::kScalar,
                                           .scratch_bytes = &scratch_bytes,
                                           .max = &max,
                                           .average = &average};
}  // namespace

const PoolU8Kernel& pool_u8_ref() noexcept { return kPoolU8Ref; }

}  // namespace intact
