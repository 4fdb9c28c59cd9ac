// pool_u8.inl.h: pool_u8.h over an ISA vocabulary (isa/scalar.h defines the words).
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/pool_u8.h"

namespace intact {

template <class Isa>
struct PoolU8 {
  using I32 = typename Isa::I32;
  using F32 = typename Isa::F32;
  static constexpr int kV = Isa::kCodeVecs;
  static constexpr std::int64_t kRun = std::int64_t{kV} * Isa::kLanes;

  // Kernel positions [begin, end) of one axis that fall inside [0, size).
  struct Range {
    std::int64_t begin, end;
    Range(std::int64_t first, std::int64_t dilation, std::int64_t kernel,
          std::int64_t size) noexcept {
      // A division takes longer than the pixels of a small window.
      const auto divide = [&](std::int64_t x) { return dilation == 1 ? x : x / dilation; };
      begin = first >= 0 ? 0 : divide(-first + dilation - 1);
      const std::int64_t last = size - 1 - first;
      end = last < 0 ? 0 : divide(last) + 1;
      if (end > kernel) end = kernel;
      if (begin > end) begin = end;
    }
    [[nodiscard]] std::int64_t count() const noexcept { return end - begin; }
  };

  // The pixels of one window: rows of `w` pixels, `row` and `step` bytes apart.
  struct Window {
    const std::uint8_t* p;
    std::int64_t h, w;
    std::ptrdiff_t row, step;
    std::int64_t area;  // What an average divides by.
  };
  static Range rows(const WindowGeometry& g, std::int64_t oy) noexcept {
    return {oy * g.stride_h - g.pad_top, g.dilation_h, g.kernel_h, g.in_h};
  }
  // `y` is rows(oy).
  [[gnu::always_inline]] static inline Window window(const PoolU8Args& a, std::int64_t oy,
                                                     const Range& y, std::int64_t ox) noexcept {
    const WindowGeometry& g = a.window;
    const std::int64_t y0 = oy * g.stride_h - g.pad_top;
    const std::int64_t x0 = ox * g.stride_w - g.pad_left;
    const Range x(x0, g.dilation_w, g.kernel_w, g.in_w);
    Window r;
    r.h = y.count();
    r.w = x.count();
    r.row = g.dilation_h * a.in_row_bytes;
    r.step = g.dilation_w * a.in_pixel_bytes;
    r.p = a.in + (y0 + y.begin * g.dilation_h) * a.in_row_bytes +
          (x0 + x.begin * g.dilation_w) * a.in_pixel_bytes;
    r.area = r.h * r.w;
    if (a.include_pad)
      r.area = Range(y0 + g.pad_top, g.dilation_h, g.kernel_h, g.in_h + g.pad_top + a.pad_bottom)
                   .count() *
               Range(x0 + g.pad_left, g.dilation_w, g.kernel_w, g.in_w + g.pad_left + a.pad_right)
                   .count();
    return r;
  }
  static std::uint8_t* out(const PoolU8Args& a, std::int64_t oy, std::int64_t ox) noexcept {
    return a.out + oy * a.out_row_bytes + ox * a.out_pixel_bytes;
  }

  static std::size_t scratch_bytes(std::int64_t) { return 0; }

  static void max(const PoolU8Args& a) {
    for (std::int64_t oy = a.row_begin; oy < a.row_end; ++oy) {
      const Range in_rows = rows(a.window, oy);
      for (std::int64_t ox = 0; ox < a.window.out_w; ++ox) {
        const Window w = window(a, oy, in_rows, ox);
        std::uint8_t* y = out(a, oy, ox);
        for (std::int64_t c = 0; c < a.channels; c += Isa::kBytes) {
          auto best = Isa::zero_bytes();
          const std::uint8_t* row = w.p + c;
          for (std::int64_t i = 0; i < w.h; ++i, row += w.row) {
            const std::uint8_t* p = row;
            for (std::int64_t j = 0; j < w.w; ++j, p += w.step)
              best = Isa::max_bytes(best, Isa::load_bytes(p));
          }
          Isa::store_bytes(y + c, best, a.channels - c);
        }
        if (a.lut != nullptr) Isa::lut(y, y, a.channels, a.lut);
      }
    }
  }

  static void average(const PoolU8Args& a) {
    const F32 lo = Isa::set_f32(static_cast<float>(a.codes.lo - a.codes.zero));
    const F32 hi = Isa::set_f32(static_cast<float>(a.codes.hi - a.codes.zero));
    const auto consts = Isa::code_consts(a.codes.zero, a.codes.lo, a.codes.hi);
    for (std::int64_t oy = a.row_begin; oy < a.row_end; ++oy) {
      const Range in_rows = rows(a.window, oy);
      for (std::int64_t ox = 0; ox < a.window.out_w; ++ox) {
        const Window w = window(a, oy, in_rows, ox);
        std::uint8_t* y = out(a, oy, ox);
        const F32 m = Isa::set_f32(static_cast<float>(a.ratio / static_cast<double>(w.area)));
        const I32 zeros = Isa::set_i32(static_cast<std::int32_t>(-w.h * w.w * a.za));
        for (std::int64_t c = 0; c < a.channels; c += kRun) {
          I32 sum[kV];
#pragma GCC unroll 4
          for (int v = 0; v < kV; ++v) sum[v] = zeros;
          const std::uint8_t* row = w.p + c;
          for (std::int64_t i = 0; i < w.h; ++i, row += w.row) {
            const std::uint8_t* p = row;
            for (std::int64_t j = 0; j < w.w; ++j, p += w.step)
#pragma GCC unroll 4
              for (int v = 0; v < kV; ++v)
                sum[v] = Isa::add(sum[v], Isa::load_u8(p + v * Isa::kLanes));
          }
#pragma GCC unroll 4
          for (int v = 0; v < kV; ++v) {
            const F32 f = Isa::mul(Isa::to_f32(sum[v]), m);
            sum[v] = Isa::to_i32(Isa::max(Isa::min(f, hi), lo));
          }
          Isa::template store_codes<kV>(y + c, sum, consts, a.channels - c, a.lut);
        }
      }
    }
  }
};

}  // namespace intact
