// window_f32.inl.h: depthwise convolution and pooling over a float vocabulary.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/f32_lanes.inl.h"
#include "kernels/math_f32.inl.h"
#include "kernels/window_f32.h"

namespace intact {

template <class S>
struct WindowF32 {
  using V = typename S::V;
  using Math = MathF32<S>;
  static constexpr int kPixels = 6;  // Output pixels that share what they read in registers.

  // Kernel positions [begin, end) of one axis whose input lies in [0, in), and the input position
  // of kernel position 0.
  struct Taps {
    std::int64_t begin, end, origin;
  };
  static Taps taps_inside(std::int64_t out, std::int64_t stride, std::int64_t dilation,
                          std::int64_t pad, std::int64_t kernel, std::int64_t in) noexcept {
    const std::int64_t origin = out * stride - pad;
    const auto positions = [&](std::int64_t columns) {
      return dilation == 1 ? columns : (columns + dilation - 1) / dilation;
    };
    std::int64_t begin = origin >= 0 ? 0 : positions(-origin);
    std::int64_t end = origin >= in ? 0 : positions(in - origin);
    if (end > kernel) end = kernel;
    if (begin > end) begin = end;
    return {begin, end, origin};
  }
  static Taps taps_y(const WindowF32Args& args, std::int64_t oy) noexcept {
    const WindowGeometry& g = args.window;
    return taps_inside(oy, g.stride_h, g.dilation_h, g.pad_top, g.kernel_h, g.in_h);
  }
  static Taps taps_x(const WindowF32Args& args, std::int64_t ox) noexcept {
    const WindowGeometry& g = args.window;
    return taps_inside(ox, g.stride_w, g.dilation_w, g.pad_left, g.kernel_w, g.in_w);
  }
  // The input pixel of kernel position (ky, kx).
  [[gnu::always_inline]] static const float* pixel(const WindowF32Args& args, const Taps& ty,
                                                   const Taps& tx, std::int64_t ky,
                                                   std::int64_t kx) noexcept {
    const std::int64_t iy = ty.origin + ky * args.window.dilation_h;
    const std::int64_t ix = tx.origin + kx * args.window.dilation_w;
    return args.in + iy * args.in_row_stride + ix * args.in_pixel_stride;
  }

  // Input columns that kN neighbouring output pixels span.
  template <int kN, int kKernel, int kStride>
  static constexpr std::int64_t span = (kN - 1) * kStride + kKernel;

  // Where the depthwise windows of neighbouring output pixels of one row lie, from channel 0.
  struct Place {
    const float* x;        // The first column inside the image.
    std::ptrdiff_t x_row;  // To the next kernel row.
    std::ptrdiff_t x_tap;
    const float* w;  // Of the first kernel row inside the image.
    std::ptrdiff_t w_row;
    std::int64_t rows;         // Kernel rows inside the image.
    std::int64_t first, last;  // Columns inside the image, from the first pixel's.
    std::uint32_t inside;      // The same as bits: an edge tests one a column.
    float* y;
    const float* residual;  // May be null.
  };
  template <int kN, int kKernel, int kStride>
  static Place place(const WindowF32Args& args, std::int64_t oy, std::int64_t ox,
                     const Taps& ty) noexcept {
    const WindowGeometry& g = args.window;
    const EpilogueF32& e = args.epilogue;
    const Taps tx =
        kKernel == 0 ? taps_x(args, ox)
                     : taps_inside(ox, kStride, 1, g.pad_left, span<kN, kKernel, kStride>, g.in_w);
    return {.x = pixel(args, ty, tx, ty.begin, tx.begin),
            .x_row = g.dilation_h * args.in_row_stride,
            .x_tap = g.dilation_w * args.in_pixel_stride,
            .w = args.weights + ty.begin * g.kernel_w * args.channels,
            .w_row = g.kernel_w * args.channels,
            .rows = ty.end - ty.begin,
            .first = tx.begin,
            .last = tx.end,
            .inside = kKernel == 0 ? 0 : (1u << tx.end) - (1u << tx.begin),
            .y = args.out + oy * args.out_row_stride + ox * args.out_pixel_stride,
            .residual = e.residual == nullptr
                            ? nullptr
                            : e.residual + (oy * g.out_w + ox) * e.residual_stride};
  }

  // Finishes and stores kN pixels of one vector.
  template <int kN, bool kTail>
  [[gnu::always_inline]] static void finish(const WindowF32Args& args, const Place& at,
                                            std::int64_t c, int n, V (&acc)[kN]) noexcept {
    const auto load = [n](const float* p) { return kTail ? S::load_tail(p, n) : S::load(p); };
    const EpilogueF32& e = args.epilogue;
    const V lo = S::set(e.lo), hi = S::set(e.hi);
    // -0 is what adds nothing, to -0 either.
    const V bias = e.bias == nullptr ? S::set(-0.0f) : load(e.bias + c);
    float* y = at.y + c;
#pragma GCC unroll 8
    for (int p = 0; p < kN; ++p, y += args.out_pixel_stride) {
      V v = S::add(acc[p], bias);
      if (at.residual != nullptr) v = S::add(v, load(at.residual + p * e.residual_stride + c));
      v = Math::canon(Math::clamp(v, lo, hi));
      if constexpr (kTail)
        S::store_tail(y, v, n);
      else
        S::store(y, v);
    }
  }

  // kN neighbouring pixels with kernel rows of kKernel positions at kStride, for one vector of
  // channels: what several of them read is loaded once.
  template <int kN, int kKernel, int kStride, bool kEdge, bool kTail>
  [[gnu::always_inline]] static void slide(const WindowF32Args& args, const Place& at,
                                           std::int64_t c, int n) noexcept {
    const auto load = [n](const float* p) { return kTail ? S::load_tail(p, n) : S::load(p); };
    V acc[kN];
#pragma GCC unroll 8
    for (int p = 0; p < kN; ++p) acc[p] = S::set(0.0f);
    const float* row = at.x + c;
    const float* weights = at.w + c;
#pragma GCC unroll 1
    for (std::int64_t ky = 0; ky < at.rows; ++ky, row += at.x_row, weights += at.w_row) {
      if constexpr (!kEdge) {
#pragma GCC unroll 8
        for (int p = 0; p < kN; ++p) S::barrier(acc[p]);  // Or one waits on the stack.
      }
      V w[kKernel];
#pragma GCC unroll 8
      for (int kx = 0; kx < kKernel; ++kx) w[kx] = load(weights + kx * args.channels);
      const float* x = row;
      std::uint32_t inside = at.inside;
      asm volatile("" : "+r"(inside));  // Or every bit of it takes a register.
#pragma GCC unroll 32
      for (int col = 0; col < span<kN, kKernel, kStride>; ++col) {
        if (kEdge && (inside & 1u << col) == 0) continue;
        V v = load(x);
        x += args.in_pixel_stride;
        S::barrier(v);  // Or each product loads it again.
#pragma GCC unroll 8
        for (int p = 0; p < kN; ++p) {
          const int kx = col - p * kStride;
          if (kx >= 0 && kx < kKernel) acc[p] = S::fma(v, w[kx], acc[p]);
        }
      }
    }
    finish<kN, kTail>(args, at, c, n, acc);
  }

  // One pixel and one vector of channels, whatever the window.
  template <bool kTail>
  [[gnu::always_inline]] static void point(const WindowF32Args& args, const Place& at,
                                           std::int64_t c, int n) noexcept {
    const auto load = [n](const float* p) { return kTail ? S::load_tail(p, n) : S::load(p); };
    V acc[1] = {S::set(0.0f)};
    for (std::int64_t ky = 0; ky < at.rows; ++ky) {
      const float* x = at.x + ky * at.x_row + c;
      const float* w = at.w + ky * at.w_row + at.first * args.channels + c;
      for (std::int64_t kx = at.first; kx < at.last; ++kx, x += at.x_tap, w += args.channels)
        acc[0] = S::fma(load(x), load(w), acc[0]);
    }
    finish<1, kTail>(args, at, c, n, acc);
  }

  // What to compute: output rows [begin, end), channels [c, c_end).
  struct Part {
    std::int64_t begin, end, c, c_end;
  };

  // kN pixels from column ox on, in each row. kKernel 0: one pixel, any window.
  template <int kN, int kKernel, int kStride, bool kEdge>
  [[gnu::noinline]] static void pixels(const WindowF32Args& args, const Part& part,
                                       std::int64_t ox) noexcept {
    for (std::int64_t oy = part.begin; oy < part.end; ++oy) {
      const Place at = place<kN, kKernel, kStride>(args, oy, ox, taps_y(args, oy));
      const auto vector = [&]<bool kTail>(std::bool_constant<kTail>, std::int64_t c, int n) {
        if constexpr (kKernel == 0)
          point<kTail>(args, at, c, n);
        else
          slide<kN, kKernel, kStride, kEdge, kTail>(args, at, c, n);
      };
      std::int64_t c = part.c;
      for (; c + S::kLanes <= part.c_end; c += S::kLanes) vector(std::false_type(), c, 0);
      if (c < part.c_end) vector(std::true_type(), c, static_cast<int>(part.c_end - c));
    }
  }

  template <int kKernel, int kStride>
  static void depthwise_part(const WindowF32Args& args, const Part& part) noexcept {
    const WindowGeometry& g = args.window;
    std::int64_t ox = 0;
    if constexpr (kKernel > 0) {
      for (; ox + kPixels <= g.out_w; ox += kPixels) {
        const std::int64_t origin = ox * kStride - g.pad_left;
        if (origin >= 0 && origin + span<kPixels, kKernel, kStride> <= g.in_w)
          pixels<kPixels, kKernel, kStride, false>(args, part, ox);
        else
          pixels<kPixels, kKernel, kStride, true>(args, part, ox);
      }
    }
    rest<kKernel == 0 ? 1 : kPixels - 1, kKernel, kStride>(args, part, ox);
  }
  // The last pixels of a row, fewer than a tile's.
  template <int kN, int kKernel, int kStride>
  static void rest(const WindowF32Args& args, const Part& part, std::int64_t ox) noexcept {
    for (; ox + kN <= args.window.out_w; ox += kN)
      pixels<kN, kKernel, kStride, true>(args, part, ox);
    if constexpr (kN > 1) rest<kN - 1, kKernel, kStride>(args, part, ox);
  }

  static void depthwise(const WindowF32Args& args) noexcept {
    const WindowGeometry& g = args.window;
    using Run = void (*)(const WindowF32Args&, const Part&) noexcept;
    Run run = depthwise_part<0, 0>;
    if (g.dilation_w == 1 && g.stride_w == 1)
      run = g.kernel_w == 3 ? depthwise_part<3, 1> : g.kernel_w == 5 ? depthwise_part<5, 1> : run;
    if (g.dilation_w == 1 && g.stride_w == 2)
      run = g.kernel_w == 3 ? depthwise_part<3, 2> : g.kernel_w == 5 ? depthwise_part<5, 2> : run;
    // An image that the second-level cache does not hold is read in order, some rows at a time. Of
    // another one as many channels are read at once as leave what the next row reads again in the
    // first-level cache.
    constexpr std::int64_t kFirstCache = 6 * 1024, kSecondCache = 256 * 1024;  // Floats.
    constexpr std::int64_t kLeast = 64, kBand = 8;
    if (g.in_h * g.in_w * args.channels > kSecondCache) {
      for (std::int64_t oy = args.row_begin; oy < args.row_end; oy += kBand)
        run(args, {oy, oy + kBand < args.row_end ? oy + kBand : args.row_end, 0, args.channels});
      return;
    }
    const std::int64_t fits = kFirstCache / (g.kernel_h * g.in_w + 1) / 16 * 16;
    const std::int64_t block = fits > kLeast ? fits : kLeast;
    for (std::int64_t c = 0; c < args.channels; c += block) {
      const std::int64_t end = c + block < args.channels ? c + block : args.channels;
      run(args, {args.row_begin, args.row_end, c, end});
    }
  }

  // reduce(c, n) -> V for every output pixel and vector of channels; n = 0 means a whole vector.
  template <class Reduce>
  [[gnu::always_inline]] static void pool(const WindowF32Args& args, Reduce reduce) noexcept {
    for (std::int64_t oy = args.row_begin; oy < args.row_end; ++oy) {
      const Taps ty = taps_y(args, oy);
      for (std::int64_t ox = 0; ox < args.window.out_w; ++ox) {
        const Taps tx = taps_x(args, ox);
        float* out = args.out + oy * args.out_row_stride + ox * args.out_pixel_stride;
        std::int64_t c = 0;
        for (; c + S::kLanes <= args.channels; c += S::kLanes)
          S::store(out + c, Math::canon(reduce(oy, ox, ty, tx, c, 0)));
        if (c < args.channels) {
          const int n = static_cast<int>(args.channels - c);
          S::store_tail(out + c, Math::canon(reduce(oy, ox, ty, tx, c, n)), n);
        }
      }
    }
  }
  // Calls visit(x) with channels c.. of every tap inside the image, row-major.
  template <class Visit>
  [[gnu::always_inline]] static void for_each_tap(const WindowF32Args& args, const Taps& ty,
                                                  const Taps& tx, std::int64_t c, int n,
                                                  Visit visit) noexcept {
    const std::ptrdiff_t tap_step = args.window.dilation_w * args.in_pixel_stride;
    for (std::int64_t ky = ty.begin; ky < ty.end; ++ky) {
      const float* x = pixel(args, ty, tx, ky, tx.begin) + c;
      for (std::int64_t kx = tx.begin; kx < tx.end; ++kx, x += tap_step)
        visit(n == 0 ? S::load(x) : S::load_tail(x, n));
    }
  }

  static void max(const WindowF32Args& args) noexcept {
    pool(args,
         [&](std::int64_t, std::int64_t, const Taps& ty, const Taps& tx, std::int64_t c, int n) {
           V m = S::set(MaxF32<S>::kStart);
           for_each_tap(args, ty, tx, c, n, [&](V x) { m = MaxF32<S>::step(m, x); });
           return m;
         });
  }

  // Kernel positions of one axis that lie inside the image widened by its declared padding.
  static std::int64_t padded_taps(std::int64_t out, std::int64_t stride, std::int64_t dilation,
                                  std::int64_t pad, std::int64_t kernel, std::int64_t in,
                                  std::int64_t pad_end) noexcept {
    return taps_inside(out, stride, dilation, 0, kernel, in + pad + pad_end).end;
  }

  static void average(const WindowF32Args& args) noexcept {
    const WindowGeometry& g = args.window;
    pool(args, [&](std::int64_t oy, std::int64_t ox, const Taps& ty, const Taps& tx, std::int64_t c,
                   int n) {
      ColumnLanesF32<S, SumF32> sum;
      std::int64_t taps = 0;
      for_each_tap(args, ty, tx, c, n, [&](V x) { sum.step(taps++, x); });
      std::int64_t count = taps;
      if (args.include_pad) {
        count = padded_taps(oy, g.stride_h, g.dilation_h, g.pad_top, g.kernel_h, g.in_h,
                            args.pad_bottom) *
                padded_taps(ox, g.stride_w, g.dilation_w, g.pad_left, g.kernel_w, g.in_w,
                            args.pad_right);
      }
      return S::div(sum.fold(taps), S::set(static_cast<float>(count)));
    });
  }
};

}  // namespace intact
