// gemm_f32.inl.h: the tile algorithm of gemm_f32.h over a float vocabulary.
//
// A tile of rows x vectors of accumulators lives in registers over all of K and is finished there.
// A last panel of at most half its columns costs what it is. Beside full panels it is computed with
// two rows in a vector, where S has words for halves: 8 columns of one row, 8 of the next. Without
// them, and alone, in half-width vectors (T, which is S itself where that is narrow enough).
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/gemm_f32.h"
#include "kernels/math_f32.inl.h"

namespace intact {

template <class S, int kRows, int kPanels, class T = S, int kHalfRows = kRows>
struct GemmF32 {
  using V = typename S::V;
  static constexpr int kCols = kPanelCols;
  static constexpr int kVectors = kCols / S::kLanes;  // A panel's row.
  static constexpr int kHalfCols = kCols / 2;
  static constexpr int kHalfVectors = kHalfCols / T::kLanes;
  // Panels of a tile with half a one, whose accumulators fit beside the half's.
  static constexpr int kPairPanels = kPanels - 1;
  static constexpr bool kHasPairs = requires(const float* p) { S::load_twice(p); };
  // One vector a row leaves registers for more rows, and needs them: a load each.
  static constexpr int kOneRows = kVectors == 1 ? kHalfRows : kRows;
  static constexpr std::int64_t kBlockElems = 128 * 1024;  // Of A: in L2 beside a strip of B.

  // C[row + i, col + j] = epilogue(sums[i * width + j]) for i < rows, j < cols.
  template <class U>
  [[gnu::noinline]] static void finish(const GemmF32Args& args, std::int64_t row, int rows,
                                       std::int64_t col, std::int64_t cols, const float* sums,
                                       int width) noexcept {
    using W = typename U::V;
    const EpilogueF32& e = args.epilogue;
    const W lo = U::set(e.lo), hi = U::set(e.hi);
    for (int i = 0; i < rows; ++i) {
      float* out = args.out + (row + i) * args.out_stride + col;
      const float* residual =
          e.residual == nullptr ? nullptr : e.residual + (row + i) * e.residual_stride + col;
      for (std::int64_t j = 0; j < cols; j += U::kLanes) {
        const int n = static_cast<int>(cols - j < U::kLanes ? cols - j : U::kLanes);
        W v = U::load(sums + i * width + j);
        if (e.bias != nullptr) v = U::add(v, U::load_tail(e.bias + col + j, n));
        if (residual != nullptr) v = U::add(v, U::load_tail(residual + j, n));
        U::store_tail(out + j, MathF32<U>::canon(MathF32<U>::clamp(v, lo, hi)), n);
      }
    }
  }

  // kR rows from `row`, kW vectors of U's width from the first column of `panel`, and with kPairs
  // the half panel behind them. `ahead` is what to bring into the cache meanwhile, a line for each
  // k.
  template <class U, int kR, int kW, bool kPairs, bool kAhead>
  [[gnu::noinline]] static void tile(const GemmF32Args& args, std::int64_t row, std::int64_t panel,
                                     const float* ahead) noexcept {
    using W = typename U::V;
    constexpr int kPanelVectors = kCols / U::kLanes;
    const std::int64_t k_per_tap = args.shape.k_per_tap;
    const std::int64_t taps = args.shape.taps;
    const std::ptrdiff_t panel_stride = taps * k_per_tap * kCols;
    const float* b = args.packed + panel * panel_stride;
    W acc[kR][kW];
    // Of rows i and i + 1; an odd last row is its own next one.
    constexpr int kPairRows = kPairs ? kR : 0;
    [[maybe_unused]] constexpr auto next = [](int i) { return i + 1 < kR ? i + 1 : i; };
    [[maybe_unused]] W pairs[(kR + 1) / 2];
#pragma GCC unroll 16
    for (int i = 0; i < kR; ++i) {
#pragma GCC unroll 16
      for (int j = 0; j < kW; ++j) {
        acc[i][j] = U::set(0.0f);
        U::barrier(acc[i][j]);
      }
    }
#pragma GCC unroll 16
    for (int i = 0; i < kPairRows; i += 2) {
      pairs[i / 2] = U::set(0.0f);
      U::barrier(pairs[i / 2]);
    }
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      const float* a[kR];
      if (args.rows != nullptr) {
        const float* const* table = args.rows + tap * args.rows_stride + row;
#pragma GCC unroll 16
        for (int i = 0; i < kR; ++i) a[i] = table[i] + args.row_offset;
      } else {
#pragma GCC unroll 16
        for (int i = 0; i < kR; ++i) a[i] = args.a + (row + i) * args.a_stride;
      }
#pragma GCC unroll 1
      for (std::int64_t k = 0; k < k_per_tap; ++k) {
        W w[kW];
#pragma GCC unroll 16
        for (int j = 0; j < kW; ++j)
          w[j] = U::load(b + (j / kPanelVectors) * panel_stride + (j % kPanelVectors) * U::kLanes);
        [[maybe_unused]] W w_half;
        if constexpr (kPairs) w_half = U::load_twice(b + kW / kPanelVectors * panel_stride);
        b += kCols;
        if constexpr (kAhead) {
          __builtin_prefetch(ahead);
          ahead += kCols;
        }
        [[maybe_unused]] W last;
#pragma GCC unroll 16
        for (int i = 0; i < kR; ++i) {
          const W x = U::broadcast(a[i] + k);
#pragma GCC unroll 16
          for (int j = 0; j < kW; ++j) acc[i][j] = U::fma(x, w[j], acc[i][j]);
          if constexpr (kPairs) {
            if (i % 2 == 1)
              pairs[i / 2] = U::fma(U::halves(last, x), w_half, pairs[i / 2]);
            else if (i + 1 == kR)
              pairs[i / 2] = U::fma(x, w_half, pairs[i / 2]);
            last = x;
          }
        }
      }
    }
#pragma GCC unroll 16
    for (int i = 0; i < kR; ++i)
#pragma GCC unroll 16
      for (int j = 0; j < kW; ++j) U::barrier(acc[i][j]);
#pragma GCC unroll 16
    for (int i = 0; i < kPairRows; i += 2) U::barrier(pairs[i / 2]);
    const EpilogueF32& e = args.epilogue;
    const std::int64_t col = panel * kCols;
    const std::int64_t cols = args.shape.n - col;
    if (cols < kW * U::kLanes) {
      alignas(64) float sums[kR * kW * U::kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kR; ++i)
#pragma GCC unroll 16
        for (int j = 0; j < kW; ++j) U::store(sums + (i * kW + j) * U::kLanes, acc[i][j]);
      return finish<U>(args, row, kR, col, cols, sums, kW * U::kLanes);
    }
    const W lo = U::set(e.lo), hi = U::set(e.hi);
    float* out = args.out + row * args.out_stride + col;
    W bias[kW];
#pragma GCC unroll 16
    for (int j = 0; j < kW; ++j)  // -0 is what adds nothing, to -0 either.
      bias[j] = e.bias == nullptr ? U::set(-0.0f) : U::load(e.bias + col + j * U::kLanes);
    const float* residual =
        e.residual == nullptr ? nullptr : e.residual + row * e.residual_stride + col;
#pragma GCC unroll 16
    for (int i = 0; i < kR; ++i) {
#pragma GCC unroll 16
      for (int j = 0; j < kW; ++j) {
        W v = U::add(acc[i][j], bias[j]);
        if (residual != nullptr)
          v = U::add(v, U::load(residual + i * e.residual_stride + j * U::kLanes));
        U::store(out + i * args.out_stride + j * U::kLanes,
                 MathF32<U>::canon(MathF32<U>::clamp(v, lo, hi)));
      }
    }
    if constexpr (kPairs) {
      constexpr int kFirst = kW * U::kLanes;  // Column of the half panel.
      if (cols < kFirst + kHalfCols) {
        alignas(64) float sums[kR * kHalfCols];
#pragma GCC unroll 16
        for (int i = 0; i < kR; i += 2)
          U::store_halves(sums + i * kHalfCols, sums + next(i) * kHalfCols, pairs[i / 2]);
        return finish<T>(args, row, kR, col + kFirst, cols - kFirst, sums, kHalfCols);
      }
      const W bias_half = e.bias == nullptr ? U::set(-0.0f) : U::load_twice(e.bias + col + kFirst);
#pragma GCC unroll 16
      for (int i = 0; i < kR; i += 2) {
        W v = U::add(pairs[i / 2], bias_half);
        if (residual != nullptr)
          v = U::add(v, U::load_halves(residual + i * e.residual_stride + kFirst,
                                       residual + next(i) * e.residual_stride + kFirst));
        U::store_halves(out + i * args.out_stride + kFirst,
                        out + next(i) * args.out_stride + kFirst,
                        MathF32<U>::canon(MathF32<U>::clamp(v, lo, hi)));
      }
    }
  }

  // The last rows, fewer than a tile's.
  template <class U, int kR, int kW, bool kPairs>
  static void run_tail(const GemmF32Args& args, std::int64_t row, std::int64_t rows,
                       std::int64_t panel) noexcept {
    if constexpr (kR > 0) {
      if (rows < kR) return run_tail<U, kR - 1, kW, kPairs>(args, row, rows, panel);
      tile<U, kR, kW, kPairs, false>(args, row, panel, nullptr);
    }
  }

  // Columns of `panels` panels. The first tiles fetch the panels behind them, which would otherwise
  // arrive from memory no faster than the first tile there needs them.
  template <class U, int kR, int kW, bool kPairs = false>
  static void run_rows(const GemmF32Args& args, std::int64_t begin, std::int64_t end,
                       std::int64_t panel, std::int64_t panels) noexcept {
    const std::int64_t step = args.shape.taps * args.shape.k_per_tap * kCols;
    std::int64_t ahead = panel + panels;
    const std::int64_t all = panels_of(args.shape.n);  // Of the next task, too.
    const std::int64_t last = ahead + panels < all ? ahead + panels : all;
    std::int64_t row = begin;
    const auto tiles = [&]<int kT>(std::integral_constant<int, kT>, std::int64_t count) {
      const std::int64_t tiles_end = row + count * kT;
      for (; row < tiles_end && ahead < last; row += kT, ++ahead)
        tile<U, kT, kW, kPairs, true>(args, row, panel, args.packed + ahead * step);
      for (; row < tiles_end; row += kT) tile<U, kT, kW, kPairs, false>(args, row, panel, nullptr);
    };
    if constexpr (kR > 1) {
      const std::int64_t count = (end - begin + kR - 1) / kR;
      const std::int64_t missing = count * kR - (end - begin);
      if (missing <= count) {  // Some tiles of one row less leave no short one.
        tiles(std::integral_constant<int, kR>(), count - missing);
        return tiles(std::integral_constant<int, kR - 1>(), missing);
      }
    }
    tiles(std::integral_constant<int, kR>(), (end - begin) / kR);
    run_tail<U, kR - 1, kW, kPairs>(args, row, end - row, panel);
  }

  // `panels` full panels, and the half one behind them with kPairs.
  template <int kP, bool kPairs = false>
  static void run_strip(const GemmF32Args& args, std::int64_t begin, std::int64_t end,
                        std::int64_t panel, std::int64_t panels) noexcept {
    if constexpr (kP > 1) {
      if (panels < kP) return run_strip<kP - 1, kPairs>(args, begin, end, panel, panels);
    }
    constexpr int kR = kP == 1 && !kPairs ? kOneRows : kRows;
    run_rows<S, kR, kP * kVectors, kPairs>(args, begin, end, panel, kP + (kPairs ? 1 : 0));
  }

  static void run(const GemmF32Args& args) noexcept {
    const std::int64_t half = args.shape.n / kCols;  // The panel that may be half full.
    const bool has_half =
        half < args.panel_end && args.panel_begin <= half && args.shape.n % kCols <= kHalfCols;
    const std::int64_t full_end = has_half ? half : args.panel_end;
    const bool paired = kHasPairs && has_half && args.panel_begin < full_end;
    // The taps of neighbouring rows are mostly the same elements. Blocks are even.
    const std::int64_t rows = args.row_end - args.row_begin;
    const std::int64_t k = args.shape.k_per_tap;
    const std::int64_t blocks = rows * k / kBlockElems + 1;
    const std::int64_t block = ((rows + blocks - 1) / blocks + kRows - 1) / kRows * kRows;
    for (std::int64_t begin = args.row_begin; begin < args.row_end; begin += block) {
      const std::int64_t end = begin + block < args.row_end ? begin + block : args.row_end;
      std::int64_t panel = args.panel_begin;
      // A lone last panel would cost more than its share.
      const auto strip = [&] {
        return kPanels > 2 && args.panel_end - panel == kPanels + 1 ? kPanels - 1 : kPanels;
      };
      if (paired) {
        for (; full_end - panel > kPairPanels; panel += strip())
          run_strip<kPanels>(args, begin, end, panel, strip());
        if constexpr (kHasPairs)
          run_strip<kPairPanels, true>(args, begin, end, panel, full_end - panel);
        continue;
      }
      for (; panel < full_end; panel += strip())
        run_strip<kPanels>(args, begin, end, panel,
                           strip() < full_end - panel ? strip() : full_end - panel);
      if (has_half) run_rows<T, kHalfRows, kHalfVectors>(args, begin, end, half, 1);
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

  // to[i kCols + j] = from[j stride + i] for i, j < 4. Four lanes are a vector on every processor.
  [[gnu::always_inline]] static void transpose_4x4(const float* from, std::ptrdiff_t stride,
                                                   float* to) noexcept {
    using Four [[gnu::vector_size(16), gnu::aligned(4), gnu::may_alias]] = float;
    using Lanes [[gnu::vector_size(16)]] = float;
    const auto row = [&](int j) -> Lanes {
      return *reinterpret_cast<const Four*>(from + j * stride);
    };
    const Lanes a = row(0), b = row(1), c = row(2), d = row(3);
    const Lanes ab01 = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    const Lanes ab23 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const Lanes cd01 = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    const Lanes cd23 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    const auto store = [&](int i, Lanes v) { *reinterpret_cast<Four*>(to + i * kCols) = v; };
    store(0, __builtin_shufflevector(ab01, cd01, 0, 1, 4, 5));
    store(1, __builtin_shufflevector(ab01, cd01, 2, 3, 6, 7));
    store(2, __builtin_shufflevector(ab23, cd23, 0, 1, 4, 5));
    store(3, __builtin_shufflevector(ab23, cd23, 2, 3, 6, 7));
  }

  // Blocks of 16 k: reads run along k, writes stay within 16 cache lines.
  static void pack_columns(const float* from, std::ptrdiff_t k_stride, std::ptrdiff_t n_stride,
                           std::int64_t count, int cols, float* to) noexcept {
    for (std::int64_t k0 = 0; k0 < count; k0 += 16) {
      const std::int64_t k1 = k0 + 16 < count ? k0 + 16 : count;
      int j = 0;
      if (k_stride == 1 && k1 - k0 == 16) {
        for (; j + 4 <= cols; j += 4)
          for (std::int64_t k = k0; k < k1; k += 4)
            transpose_4x4(from + j * n_stride + k, n_stride, to + k * kCols + j);
      }
      for (; j < cols; ++j) {
        const float* line = from + j * n_stride;
        for (std::int64_t k = k0; k < k1; ++k) to[k * kCols + j] = line[k * k_stride];
      }
      for (; j < kCols; ++j)
        for (std::int64_t k = k0; k < k1; ++k) to[k * kCols + j] = 0.0f;
    }
  }
};

}  // namespace intact
