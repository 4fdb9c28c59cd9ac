// window_f32.inl.h: depthwise convolution and pooling over a float vocabulary.
#pragma once

#include <cstdint>

#include "kernels/f32_lanes.inl.h"
#include "kernels/math_f32.inl.h"
#include "kernels/window_f32.h"

namespace intact {

template <class S>
struct WindowF32 {
  using V = typename S::V;
  using Math = MathF32<S>;
  static constexpr int kPixels = 4;   // Output pixels that share a weight in registers.
  static constexpr int kVectors = 2;  // Channel vectors of one step.

  // Kernel positions [begin, end) of one axis whose input lies in [0, in), and the input position
  // of kernel position 0.
  struct Taps {
    std::int64_t begin, end, origin;
  };
  static Taps taps_inside(std::int64_t out, std::int64_t stride, std::int64_t dilation,
                          std::int64_t pad, std::int64_t kernel, std::int64_t in) noexcept {
    const std::int64_t origin = out * stride - pad;
    std::int64_t begin = origin >= 0 ? 0 : (-origin + dilation - 1) / dilation;
    std::int64_t end = origin >= in ? 0 : (in - origin + dilation - 1) / dilation;
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

  // P neighbouring pixels with the same taps, N vectors of channels from c (n elements if kTail).
  template <int P, int N, bool kTail>
  [[gnu::always_inline]] static void depthwise_block(const WindowF32Args& args, std::int64_t oy,
                                                     std::int64_t ox, const Taps& ty,
                                                     const Taps& tx, std::int64_t c,
                                                     int n) noexcept {
    const auto load = [&](const float* p) { return kTail ? S::load_tail(p, n) : S::load(p); };
    V acc[P][N];
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 8
      for (int j = 0; j < N; ++j) acc[p][j] = S::set(0.0f);
    const std::ptrdiff_t step = args.window.stride_w * args.in_pixel_stride;
    const std::ptrdiff_t tap_step = args.window.dilation_w * args.in_pixel_stride;
    for (std::int64_t ky = ty.begin; ky < ty.end; ++ky) {
      const float* x = pixel(args, ty, tx, ky, tx.begin) + c;
      const float* w = args.weights + (ky * args.window.kernel_w + tx.begin) * args.channels + c;
      for (std::int64_t kx = tx.begin; kx < tx.end; ++kx) {
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) {
          const V weight = load(w + j * S::kLanes);
#pragma GCC unroll 8
          for (int p = 0; p < P; ++p)
            acc[p][j] = S::fma(load(x + p * step + j * S::kLanes), weight, acc[p][j]);
        }
        x += tap_step;
        w += args.channels;
      }
    }
    const EpilogueF32& e = args.epilogue;
    const V lo = S::set(e.lo), hi = S::set(e.hi);
    float* out = args.out + oy * args.out_row_stride + ox * args.out_pixel_stride + c;
    const float* residual =
        e.residual == nullptr ? nullptr
                              : e.residual + (oy * args.window.out_w + ox) * e.residual_stride + c;
#pragma GCC unroll 8
    for (int j = 0; j < N; ++j) {
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        V v = acc[p][j];
        if (e.bias != nullptr) v = S::add(v, load(e.bias + c + j * S::kLanes));
        if (residual != nullptr)
          v = S::add(v, load(residual + p * e.residual_stride + j * S::kLanes));
        v = Math::canon(Math::clamp(v, lo, hi));
        float* to = out + p * args.out_pixel_stride + j * S::kLanes;
        if constexpr (kTail)
          S::store_tail(to, v, n);
        else
          S::store(to, v);
      }
    }
  }

  template <int P>
  [[gnu::noinline]] static void depthwise_pixels(const WindowF32Args& args, std::int64_t oy,
                                                 std::int64_t ox, const Taps& ty,
                                                 const Taps& tx) noexcept {
    std::int64_t c = 0;
    for (; c + kVectors * S::kLanes <= args.channels; c += kVectors * S::kLanes)
      depthwise_block<P, kVectors, false>(args, oy, ox, ty, tx, c, 0);
    for (; c + S::kLanes <= args.channels; c += S::kLanes)
      depthwise_block<P, 1, false>(args, oy, ox, ty, tx, c, 0);
    if (c < args.channels)
      depthwise_block<P, 1, true>(args, oy, ox, ty, tx, c, static_cast<int>(args.channels - c));
  }

  static void depthwise(const WindowF32Args& args) noexcept {
    const std::int64_t kernel_w = args.window.kernel_w;
    for (std::int64_t oy = args.row_begin; oy < args.row_end; ++oy) {
      const Taps ty = taps_y(args, oy);
      for (std::int64_t ox = 0; ox < args.window.out_w;) {
        const Taps tx = taps_x(args, ox);
        // Pixels between two that see the whole kernel see it too.
        if (ox + kPixels <= args.window.out_w && tx.begin == 0 && tx.end == kernel_w) {
          const Taps last = taps_x(args, ox + kPixels - 1);
          if (last.begin == 0 && last.end == kernel_w) {
            depthwise_pixels<kPixels>(args, oy, ox, ty, tx);
            ox += kPixels;
            continue;
          }
        }
        depthwise_pixels<1>(args, oy, ox, ty, tx);
        ++ox;
      }
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
