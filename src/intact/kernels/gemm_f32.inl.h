// gemm_f32.inl.h: the tile algorithm of gemm_f32.h over a float vocabulary.
//
// A tile of kRows x (kPanels * 16) accumulators lives in registers over all of K. It is then
// parked on the stack and finished by one small loop shared by all tile sizes: with the epilogue
// behind the K loop in one function, gcc 12 spills accumulators inside the loop.
#pragma once

#include <cstdint>

#include "kernels/gemm_f32.h"
#include "kernels/math_f32.inl.h"

namespace intact {

template <class S, int kRows, int kPanels>
struct GemmF32 {
  using V = typename S::V;
  static constexpr int kCols = kPanelCols;
  static constexpr int kVectors = kCols / S::kLanes;      // A panel's row.
  static constexpr std::int64_t kBlockElems = 64 * 1024;  // Of A: stays in L2 beside a strip of B.

  // C[row + i, col + j] = epilogue(sums[i * width + j]) for i < rows, j < cols.
  [[gnu::noinline]] static void finish(const GemmF32Args& args, std::int64_t row, int rows,
                                       std::int64_t col, std::int64_t cols, const float* sums,
                                       int width) noexcept {
    const EpilogueF32& e = args.epilogue;
    const V lo = S::set(e.lo), hi = S::set(e.hi);
    for (int i = 0; i < rows; ++i) {
      float* out = args.out + (row + i) * args.out_stride + col;
      const float* residual =
          e.residual == nullptr ? nullptr : e.residual + (row + i) * e.residual_stride + col;
      for (std::int64_t j = 0; j < cols; j += S::kLanes) {
        const std::int64_t left = cols - j;
        V v = S::load(sums + i * width + j);
        if (left >= S::kLanes) {
          if (e.bias != nullptr) v = S::add(v, S::load(e.bias + col + j));
          if (residual != nullptr) v = S::add(v, S::load(residual + j));
          S::store(out + j, MathF32<S>::canon(MathF32<S>::clamp(v, lo, hi)));
        } else {
          const int n = static_cast<int>(left);
          if (e.bias != nullptr) v = S::add(v, S::load_tail(e.bias + col + j, n));
          if (residual != nullptr) v = S::add(v, S::load_tail(residual + j, n));
          S::store_tail(out + j, MathF32<S>::canon(MathF32<S>::clamp(v, lo, hi)), n);
        }
      }
    }
  }

  // R rows from `row`, P panels from `panel`.
  template <int R, int P>
  [[gnu::noinline]] static void tile(const GemmF32Args& args, std::int64_t row,
                                     std::int64_t panel) noexcept {
    constexpr int kWide = P * kVectors;
    const std::int64_t k_per_tap = args.shape.k_per_tap;
    const std::int64_t taps = args.shape.taps;
    const std::ptrdiff_t panel_stride = taps * k_per_tap * kCols;
    const float* b = args.packed + panel * panel_stride;
    V acc[R][kWide];
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 16
      for (int j = 0; j < kWide; ++j) {
        acc[i][j] = S::set(0.0f);
        S::barrier(acc[i][j]);
      }
    }
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      const float* a[R];
      if (args.rows != nullptr) {
        const float* const* table = args.rows + tap * args.rows_stride + row;
#pragma GCC unroll 16
        for (int i = 0; i < R; ++i) a[i] = table[i] + args.row_offset;
      } else {
#pragma GCC unroll 16
        for (int i = 0; i < R; ++i) a[i] = args.a + (row + i) * args.a_stride;
      }
#pragma GCC unroll 1
      for (std::int64_t k = 0; k < k_per_tap; ++k) {
        V w[kWide];
#pragma GCC unroll 16
        for (int j = 0; j < kWide; ++j)
          w[j] = S::load(b + (j / kVectors) * panel_stride + (j % kVectors) * S::kLanes);
        b += kCols;
#pragma GCC unroll 16
        for (int i = 0; i < R; ++i) {
          const V x = S::broadcast(a[i] + k);
#pragma GCC unroll 16
          for (int j = 0; j < kWide; ++j) acc[i][j] = S::fma(x, w[j], acc[i][j]);
        }
      }
    }
    alignas(64) float sums[R * P * kCols];
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 16
      for (int j = 0; j < kWide; ++j) {
        S::barrier(acc[i][j]);
        S::store(sums + i * P * kCols + j * S::kLanes, acc[i][j]);
      }
    }
    const std::int64_t col = panel * kCols;
    const std::int64_t left = args.shape.n - col;
    finish(args, row, R, col, left < P * kCols ? left : P * kCols, sums, P * kCols);
  }

  template <int P, int R = kRows>
  static void run_tile(const GemmF32Args& args, std::int64_t row, std::int64_t rows,
                       std::int64_t panel) noexcept {
    if constexpr (R > 1) {
      if (rows < R) return run_tile<P, R - 1>(args, row, rows, panel);
    }
    tile<R, P>(args, row, panel);
  }

  template <int P = kPanels>
  static void run_strip(const GemmF32Args& args, std::int64_t begin, std::int64_t end,
                        std::int64_t panel, std::int64_t panels) noexcept {
    if constexpr (P > 1) {
      if (panels < P) return run_strip<P - 1>(args, begin, end, panel, panels);
    }
    for (std::int64_t row = begin; row < end; row += kRows)
      run_tile<P>(args, row, end - row, panel);
  }

  static void run(const GemmF32Args& args) noexcept {
    const std::int64_t k = args.shape.taps * args.shape.k_per_tap;
    std::int64_t block = kBlockElems / (k > 0 ? k : 1) / kRows * kRows;
    if (block < 4 * kRows) block = 4 * kRows;
    for (std::int64_t begin = args.row_begin; begin < args.row_end; begin += block) {
      const std::int64_t end = begin + block < args.row_end ? begin + block : args.row_end;
      for (std::int64_t panel = args.panel_begin; panel < args.panel_end; panel += kPanels)
        run_strip(args, begin, end, panel, args.panel_end - panel);
    }
  }

  static void pack_b(const GemmShape& shape, const GemmF32Source& source, std::int64_t panel_begin,
                     std::int64_t panel_end, float* packed) noexcept {
    const std::int64_t k_total = shape.taps * shape.k_per_tap;
    for (std::int64_t panel = panel_begin; panel < panel_end; ++panel) {
      float* to = packed + panel * k_total * kCols;
      const std::int64_t left = shape.n - panel * kCols;
      const int cols = left < kCols ? static_cast<int>(left) : kCols;
      for (std::int64_t tap = 0; tap < shape.taps; ++tap) {
        const float* from = source.b + tap * source.tap_stride + panel * kCols * source.n_stride;
        if (source.n_stride == 1)
          pack_rows(from, source.k_stride, shape.k_per_tap, cols, to);
        else
          pack_columns(from, source.k_stride, source.n_stride, shape.k_per_tap, cols, to);
        to += shape.k_per_tap * kCols;
      }
    }
  }

  static void pack_rows(const float* from, std::ptrdiff_t k_stride, std::int64_t count, int cols,
                        float* to) noexcept {
    for (std::int64_t k = 0; k < count; ++k, from += k_stride, to += kCols) {
#pragma GCC unroll 16
      for (int j = 0; j < kVectors; ++j) {
        const int left = cols - j * S::kLanes;
        const V v = left >= S::kLanes ? S::load(from + j * S::kLanes)
                    : left > 0        ? S::load_tail(from + j * S::kLanes, left)
                                      : S::set(0.0f);
        S::store(to + j * S::kLanes, v);
      }
    }
  }

  // Blocks of 16 k: reads run along k, writes stay within 16 cache lines.
  static void pack_columns(const float* from, std::ptrdiff_t k_stride, std::ptrdiff_t n_stride,
                           std::int64_t count, int cols, float* to) noexcept {
    for (std::int64_t k0 = 0; k0 < count; k0 += 16) {
      const std::int64_t k1 = k0 + 16 < count ? k0 + 16 : count;
      for (int j = 0; j < cols; ++j) {
        const float* line = from + j * n_stride;
        for (std::int64_t k = k0; k < k1; ++k) to[k * kCols + j] = line[k * k_stride];
      }
      for (int j = cols; j < kCols; ++j)
        for (std::int64_t k = k0; k < k1; ++k) to[k * kCols + j] = 0.0f;
    }
  }
};

}  // namespace intact
