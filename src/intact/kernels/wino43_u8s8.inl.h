// wino43_u8s8.inl.h: wino43_u8s8.h over an ISA vocabulary (isa/scalar.h defines the words).
//
// Tiles are worked on in blocks whose transformed inputs and products stay in L2. Per block:
//
//   V[32 channels][tile][36]   int16   B' d B, for all input channels: a line of cache each
//   M[tile][panel][36][16]     int32   for one group of panels: 36 small products V U
//   outputs                            (2) and the epilogue, of a tile or a run of tiles
//
// Strides that inner loops see are constants: g++ 12 has too few registers for so many addresses.
//
// Weights are panels of 16 columns, each [36][steps][16][2] int16.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/epilogue.inl.h"
#include "kernels/gemm_tile.inl.h"
#include "kernels/wino43_tile.inl.h"
#include "kernels/wino43_u8s8.h"

namespace intact {

template <class Isa>
struct Wino43Layout {
  static constexpr std::int64_t kPoints = 36;
  static constexpr std::int64_t kLine = 64;               // Bytes of V: 32 channels of a point.
  static constexpr std::int64_t kSlot = kPoints * kLine;  // From tile to tile.
  static constexpr std::int64_t kMaxTiles = 48;           // A block's.
  static constexpr std::int64_t kBlockBytes = 448 << 10;  // Of V and M together: stays in L2.
  static constexpr std::int64_t kRunTiles = 4;            // Tiles side by side, worked on together.
  static constexpr std::int64_t kGroupCols = Isa::kMaxPanels * kPanelCols;

  std::int64_t steps;   // Pairs of input channels.
  std::int64_t chunks;  // Of 32 input channels.

  explicit Wino43Layout(const Wino43Shape& s) noexcept
      : steps((s.in_channels + 1) / 2),
        chunks((s.in_channels + 31) / 32),
        group_cols_(padded_n(s.out_channels) < kGroupCols ? padded_n(s.out_channels) : kGroupCols) {
  }

  [[nodiscard]] std::int64_t panel_bytes() const noexcept { return kPoints * steps * 64 + 64; }
  // Of M, from tile to tile. Odd numbers of lines: equal strides of 4 KiB would collide in the
  // caches.
  static constexpr std::int64_t tile_bytes(std::int64_t cols) noexcept {
    return kPoints * cols * 4 | kLine;
  }
  // A multiple of 6 tiles where there is room for 6.
  [[nodiscard]] std::int64_t max_tiles() const noexcept {
    const std::int64_t fit = kBlockBytes / (chunks * kSlot + tile_bytes(group_cols_)) / 6 * 6;
    return fit < 6 ? 6 : fit > kMaxTiles ? kMaxTiles : fit;
  }

  // Scratch: lines of a run of tiles (columns of its inputs or accumulators), M, V.
  static constexpr std::int64_t kColumns = 4 * kRunTiles + 2;
  static constexpr std::int64_t kRunBytes =
      std::max<std::int64_t>(kColumns * 6 * Isa::kLanes16 * 2, kRunTiles * 16 * kGroupCols * 4);
  [[nodiscard]] std::int64_t v_at() const noexcept {
    return kRunBytes + max_tiles() * tile_bytes(group_cols_);
  }
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept {
    return v_at() + max_tiles() * chunks * kSlot;
  }

 private:
  std::int64_t group_cols_;
};

template <class Isa>
struct Wino43U8S8 {
  using I32 = typename Isa::I32;
  using S16 = typename Isa::S16;
  using Pairs = typename Isa::Pairs;
  using Tile = Wino43Tile<Isa>;
  using Layout = Wino43Layout<Isa>;
  static constexpr int kPV = Isa::kPanelVecs;

  // One tile of a block: its first output, and which dimensions are short (wino43_tile.inl.h).
  struct Spot {
    std::int32_t oy, ox;
    bool low, narrow;
  };
  // Tiles [first, first + tiles), in an order in which those that have the points of a class follow
  // one another: short in x, not short, short in y, short in both.
  struct Block {
    const Wino43U8S8Args* a;
    std::int64_t first, tiles;
    std::byte* scratch;  // Of a run.
    std::byte* v;
    Spot spots[Layout::kMaxTiles];
    std::int64_t begin[kWino43Classes], end[kWino43Classes];

    void place() noexcept {
      const WindowGeometry& g = a->shape.window;
      const auto is_short = [](std::int64_t left) { return left == 1 || left == 2; };
      std::int64_t n = 0, ends[4];
      for (int kind = 0; kind < 4; ++kind) {
        const bool want_low = kind >= 2, want_narrow = kind == 0 || kind == 3;
        std::int64_t oy = first / wino43_tiles_x(g) * 4, ox = first % wino43_tiles_x(g) * 4;
        for (std::int64_t i = 0; i < tiles; ++i) {
          if (is_short(g.out_h - oy) == want_low && is_short(g.out_w - ox) == want_narrow)
            spots[n++] = {static_cast<std::int32_t>(oy), static_cast<std::int32_t>(ox), want_low,
                          want_narrow};
          ox += 4;
          if (ox >= g.out_w) {
            ox = 0;
            oy += 4;
          }
        }
        ends[kind] = n;
      }
      for (int cls = 0; cls < kWino43Classes; ++cls) {
        begin[cls] = (cls & 1) != 0 ? ends[0] : 0;
        end[cls] = (cls & 2) != 0 ? ends[1] : (cls & 1) != 0 ? ends[2] : n;
      }
    }
    // Tiles side by side from tile i on, to work on together.
    [[nodiscard]] std::int64_t run_at(std::int64_t i) const noexcept {
      std::int64_t n = 1;
      while (n < Layout::kRunTiles && i + n < tiles && spots[i + n].oy == spots[i].oy &&
             spots[i + n].ox == spots[i].ox + 4 * n && spots[i + n].narrow == spots[i].narrow)
        ++n;
      return n;
    }
  };

  static void inputs(const Block& b) noexcept {
    for (std::int64_t i = 0; i < b.tiles;) {
      const std::int64_t run = b.run_at(i);
      b.spots[i].low ? run_inputs<true>(b, i, run) : run_inputs<false>(b, i, run);
      i += run;
    }
  }

  // V of a run of tiles: B' times each column of inputs, which tiles side by side share, then each
  // row of a tile times B.
  template <bool kLow>
  [[gnu::noinline]] static void run_inputs(const Block& b, std::int64_t first,
                                           std::int64_t run) noexcept {
    constexpr int kRows = Wino43Line<kLow>::kPoints;
    const Wino43U8S8Args& a = *b.a;
    const WindowGeometry& g = a.shape.window;
    const Spot* const spots = b.spots + first;
    const std::int64_t iy = std::int64_t{spots->oy} - g.pad_top;
    const std::int64_t ix = std::int64_t{spots->ox} - g.pad_left;
    const std::int64_t columns = 4 * run + (spots->narrow ? 0 : 2);
    const std::int64_t left = std::clamp<std::int64_t>(-ix, 0, columns);
    const std::int64_t right = std::clamp<std::int64_t>(g.in_w - ix, left, columns);
    const bool inside = iy >= 0 && iy + kRows <= g.in_h;
    const std::ptrdiff_t row_bytes = a.in_row_bytes, pixel_bytes = a.in_pixel_bytes;
    auto* const lines = reinterpret_cast<std::int16_t*>(b.scratch);
    const std::int32_t offset = 36 * a.za;
    for (std::int64_t c = 0; c < a.shape.in_channels; c += Isa::kLanes16) {
      const std::uint8_t* const in = a.in + iy * row_bytes + ix * pixel_bytes + c;
      const std::uint8_t* const pad = a.pad + c;
      const auto padding = [=](int, std::int64_t) { return pad; };
      transform_columns<kLow>(padding, 0, left, lines);
      if (inside) {
        transform_columns<kLow>(
            [=](int y, std::int64_t x) { return in + y * row_bytes + x * pixel_bytes; }, left,
            right, lines);
      } else {
        const std::uint8_t* row[kRows];
        std::ptrdiff_t step[kRows];
        for (int y = 0; y < kRows; ++y) {
          const bool valid = iy + y >= 0 && iy + y < g.in_h;
          row[y] = valid ? in + y * row_bytes : pad;
          step[y] = valid ? pixel_bytes : 0;
        }
        transform_columns<kLow>([&](int y, std::int64_t x) { return row[y] + x * step[y]; }, left,
                                right, lines);
      }
      transform_columns<kLow>(padding, right, columns, lines);
      auto* const to =
          reinterpret_cast<std::int16_t*>(b.v + (c / 32 * b.tiles + first) * Layout::kSlot) +
          c % 32;
      if (spots->narrow)
        transform_rows<kLow, true>(lines, run, offset, to);
      else
        transform_rows<kLow, false>(lines, run, offset, to);
    }
  }

  // Columns [from, to); pixel(y, x) is where an input is.
  template <bool kLow, class Pixel>
  [[gnu::always_inline]] static inline void transform_columns(const Pixel& pixel, std::int64_t from,
                                                              std::int64_t to,
                                                              std::int16_t* lines) noexcept {
    constexpr int kRows = Wino43Line<kLow>::kPoints;
    lines += from * kRows * Isa::kLanes16;
    for (std::int64_t x = from; x < to; ++x, lines += kRows * Isa::kLanes16) {
      S16 d[kRows], v[kRows];
#pragma GCC unroll 6
      for (int y = 0; y < kRows; ++y) d[y] = Isa::widen_s16(pixel(y, x));
      Tile::template in<kLow>(d, v);
#pragma GCC unroll 6
      for (int y = 0; y < kRows; ++y) Isa::store_s16(lines + y * Isa::kLanes16, v[y]);
    }
  }

  // Of `run` tiles. The columns of B sum to 0 but the second, which sums to -6: subtracting za from
  // every input takes offset = 36 za from one point.
  template <bool kLow, bool kNarrow>
  [[gnu::noinline]] static void transform_rows(const std::int16_t* from, std::int64_t run,
                                               std::int32_t offset, std::int16_t* to) noexcept {
    using Y = Wino43Line<kLow>;
    using X = Wino43Line<kNarrow>;
    constexpr std::ptrdiff_t kColumn = Y::kPoints * Isa::kLanes16;
    constexpr std::ptrdiff_t kPoint = Layout::kLine / 2;
    for (; run > 0; --run, from += 4 * kColumn, to += Layout::kSlot / 2)
#pragma GCC unroll 6
      for (int y = 0; y < Y::kPoints; ++y) {
        S16 d[X::kPoints], v[X::kPoints];
#pragma GCC unroll 6
        for (int x = 0; x < X::kPoints; ++x)
          d[x] = Isa::load_s16(from + x * kColumn + y * Isa::kLanes16);
        Tile::template in<kNarrow>(d, v);
        if (y == 1) v[1] = Isa::sub_s16(v[1], Isa::set_s16(offset));
#pragma GCC unroll 6
        for (int x = 0; x < X::kPoints; ++x)
          Isa::store_s16(to + (6 * Y::point(y) + X::point(x)) * kPoint, v[x]);
      }
  }

  // Products of a block and a group of panels, on their way to outputs.
  struct Group {
    const Block* b;
    std::int64_t n, panels, cols;  // First column, panels, valid columns.
    std::int32_t* m;
  };
  // Elements of M from tile to tile.
  template <int NP>
  static constexpr std::ptrdiff_t kTileM = Layout::tile_bytes(NP* kPanelCols) / 4;
  // And from panel to panel.
  static constexpr std::ptrdiff_t kPanelM = Layout::kPoints * kPanelCols;

  template <int NP>
  static void outputs(const Group& g) noexcept {
    const Block& b = *g.b;
    const Wino43U8S8Args& a = *b.a;
    const Epilogue& e = a.epilogue;
    EpilogueTile r{};
    r.acc_stride = g.panels * kPanelCols;
    r.cols = g.cols;
    r.out_row_bytes = a.out_pixel_bytes;
    r.e = &e;
    r.m = e.m + g.n;
    r.c = e.c + g.n;
    if (e.is_mapped()) {
      r.g_m = e.g_m + g.n;
      r.g_c = e.g_c + g.n;
    }
    if (e.steps) r.steps = e.steps.v + g.n;
    EpilogueRows<Isa>::judge(r, g.n, g.cols);
    [[maybe_unused]] const Direct direct(r);
    for (std::int64_t t = 0; t < b.tiles;) {
      if constexpr (kDirect) {
        if (direct.possible && a.shape.window.out_w - b.spots[t].ox >= 4) {
          b.spots[t].low ? codes<NP, true>(g, direct.r, t) : codes<NP, false>(g, direct.r, t);
          ++t;
          continue;
        }
      }
      const std::int64_t run = b.run_at(t);
      for (std::int64_t i = 0; i < run; ++i) {
        const bool narrow = b.spots[t + i].narrow;
        std::int32_t* const to = reinterpret_cast<std::int32_t*>(b.scratch) + i * 4 * r.acc_stride;
        if (b.spots[t].low)
          narrow ? accumulators<NP, true, true>(g, t + i, to, run * 4 * r.acc_stride)
                 : accumulators<NP, true, false>(g, t + i, to, run * 4 * r.acc_stride);
        else
          narrow ? accumulators<NP, false, true>(g, t + i, to, run * 4 * r.acc_stride)
                 : accumulators<NP, false, false>(g, t + i, to, run * 4 * r.acc_stride);
      }
      finish_run(g, r, t, run);
      t += run;
    }
  }

  // Codes of a tile without a way through memory, where a panel is a vector. Accumulators stay 64
  // times too large; their scales become as much smaller, which is exact but for the tiniest.
  static constexpr bool kDirect = kPV == 1 && Isa::kCodeVecs == 4;
  struct Direct {
    EpilogueTile r;
    bool possible;
    alignas(64) float m[Layout::kGroupCols];

    explicit Direct(const EpilogueTile& tile) noexcept
        : r(tile), possible(kDirect && tile.small && !tile.e->function) {
      if (!possible) return;
      int inexact = 0;
      for (std::int64_t n = 0; n < padded_n(r.cols); ++n) {
        m[n] = r.m[n] * 0x1p-6f;
        inexact |= static_cast<int>(m[n] * 0x1p6f != r.m[n]);
      }
      possible = inexact == 0;
      r.m = m;
    }
    Direct(const Direct&) = delete;
    Direct& operator=(const Direct&) = delete;
  };
  template <int NP, bool kLow>
  static void codes(const Group& g, const EpilogueTile& r, std::int64_t t) noexcept {
    switch (r.e->residual) {
      case Residual::kNone:
        return codes<NP, kLow, Residual::kNone>(g, r, t);
      case Residual::kAfterCode:
        return codes<NP, kLow, Residual::kAfterCode>(g, r, t);
      default:
        return codes<NP, kLow, Residual::kBeforeCode>(g, r, t);
    }
  }
  template <int NP, bool kLow, Residual kResidual>
  [[gnu::noinline]] static void codes(const Group& g, const EpilogueTile& r,
                                      std::int64_t t) noexcept {
    constexpr int kHeight = Wino43Line<kLow>::kOutputs;
    const Wino43U8S8Args& a = *g.b->a;
    const Spot& s = g.b->spots[t];
    const std::int64_t height = std::min<std::int64_t>(a.shape.window.out_h - s.oy, kHeight);
    const CodeLimits& k = r.e->codes;
    const auto consts = Isa::code_consts(k.zero, k.lo, k.hi);
    const std::uint8_t* const lut = r.e->lut;
    const std::ptrdiff_t row_bytes = a.out_row_bytes, pixel_bytes = a.out_pixel_bytes;
    auto* const out =
        static_cast<std::uint8_t*>(a.out) + s.oy * row_bytes + s.ox * pixel_bytes + g.n;
    const std::uint8_t* const summed = r.e->residual_at(s.oy * a.shape.window.out_w + s.ox, g.n);
    const std::ptrdiff_t summed_bytes = a.shape.window.out_w * r.e->r_row_bytes;
    EpilogueTile line{};
    line.e = r.e;
    line.m = r.m;
    line.c = r.c;
    const typename EpilogueRows<Isa>::template Coder<false, kResidual, false> code(line);
    const std::int64_t cols = g.cols;
    const std::int32_t* const bias = a.bias + g.n;
    const std::int32_t* const m = g.m + t * kTileM<NP>;
    for (std::int64_t n = 0; n < cols; n += kPanelCols) {
      const std::int32_t* const products = m + n / kPanelCols * kPanelM;
      // What comes next lies in L2, and in an order that no hardware foresees.
#pragma GCC unroll 36
      for (int i = 0; i < Layout::kPoints; ++i)
        __builtin_prefetch(products + kPanelM + i * kPanelCols);
      I32 acc[kHeight][4];
      Tile::template outputs<kLow, false>(products, Isa::load_i32(bias + n),
                                          [&](int y, const I32(&sums)[4]) {
                                            for (int x = 0; x < 4; ++x) acc[y][x] = sums[x];
                                          });
#pragma GCC unroll 4
      for (int y = 0; y < kHeight; ++y) {
        if constexpr (kResidual != Residual::kNone)
          line.r = summed + std::min<std::int64_t>(y, height - 1) * summed_bytes;
#pragma GCC unroll 4
        for (int x = 0; x < 4; ++x) acc[y][x] = code.of(acc[y][x], x, n);
      }
      keep_all<Isa>(acc);
#pragma GCC unroll 4
      for (int y = 0; y < kHeight; ++y) {
        if (y >= height) break;
        I32 q[4][1];
        for (int x = 0; x < 4; ++x) q[x][0] = acc[y][x];
        Isa::template store_codes<1, 4>(out + y * row_bytes + n, pixel_bytes, q, consts, cols - n,
                                        lut);
      }
    }
  }

  // Accumulators of tile t to lines `line` elements apart.
  template <int NP, bool kLow, bool kNarrow>
  [[gnu::noinline]] static void accumulators(const Group& g, std::int64_t t, std::int32_t* to,
                                             std::int64_t line) noexcept {
    constexpr int kWidth = Wino43Line<kNarrow>::kOutputs;
    constexpr std::int64_t pixel = NP * kPanelCols;
    const std::int32_t* const bias = g.b->a->bias + g.n;
    const std::int32_t* const m = g.m + t * kTileM<NP>;
    for (std::int64_t n = 0; n < pixel; n += Isa::kLanes) {
      Tile::template outputs<kLow, kNarrow>(
          m + n / kPanelCols * kPanelM + n % kPanelCols, Isa::load_i32(bias + n),
          [&](int y, const I32(&acc)[kWidth]) {
            for (int x = 0; x < kWidth; ++x)
              Isa::store_i32(to + y * line + x * pixel + n, Isa::template sra<6>(acc[x]));
          });
    }
  }

  // The epilogue of the lines of a run of tiles.
  static void finish_run(const Group& g, EpilogueTile& r, std::int64_t first,
                         std::int64_t run) noexcept {
    const Wino43U8S8Args& a = *g.b->a;
    const Spot& s = g.b->spots[first];
    const std::int64_t out_w = a.shape.window.out_w;
    const std::int64_t height = std::min<std::int64_t>(a.shape.window.out_h - s.oy, 4);
    r.rows = std::min(out_w - s.ox, run * 4);
    for (std::int64_t y = 0; y < height; ++y) {
      r.acc = reinterpret_cast<std::int32_t*>(g.b->scratch) + y * run * 4 * r.acc_stride;
      r.row = (s.oy + y) * out_w + s.ox;
      r.out = static_cast<std::byte*>(a.out) + (s.oy + y) * a.out_row_bytes +
              s.ox * a.out_pixel_bytes + g.n * (r.e->kind == EpilogueKind::kCodes ? 1 : 4);
      r.r = r.e->residual_at(r.row, g.n);
      EpilogueRows<Isa>::run(r);
    }
  }

  // One point's product: rows of V by NP panels of U.
  struct Product {
    const std::uint8_t* v;
    std::ptrdiff_t chunk_bytes;
    const std::int8_t* u;
    std::ptrdiff_t panel_bytes;
    std::int64_t bytes;  // Of K, 4 a step.
    std::int32_t* m;
  };
  // Aligned: where its loop begins in a line of cache is worth 3 %, and would depend on the rest.
  template <int MR, int NP, bool kHalf>
  [[gnu::noinline, gnu::aligned(64)]] static void multiply(const Product& t,
                                                           std::int64_t row) noexcept {
    constexpr int NV = NP * kPV;
    I32 acc[MR][NV];
#pragma GCC unroll 32
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 16
      for (int j = 0; j < NV; ++j) acc[i][j] = Isa::set_i32(0);
    keep_all<Isa, kHalf>(acc);
    const std::uint8_t* v = t.v + row * Layout::kSlot;
    const std::int8_t* u = t.u;
    const std::ptrdiff_t panel_bytes = t.panel_bytes;
    const std::ptrdiff_t next_chunk = t.chunk_bytes - Layout::kLine;
    const std::int64_t bytes = t.bytes;
#pragma GCC unroll 1
    for (std::int64_t k = 4; k <= bytes; k += 4) {
      multiply_step<Isa, Pairs, MR, NP, kHalf>(
          acc, [&](int i) { return v + i * Layout::kSlot; }, u, panel_bytes);
      u += kPV * Pairs::kVecBytes;
      v += 4 + (k % Layout::kLine == 0 ? next_chunk : 0);
    }
    keep_all<Isa, kHalf>(acc);
    if constexpr (kHalf) split_rows<Isa>(acc);
    std::int32_t* const m = t.m + row * kTileM<NP>;
#pragma GCC unroll 32
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 16
      for (int j = 0; j < NV; ++j)
        Isa::store_i32(m + i * kTileM<NP> + j / kPV * kPanelM + j % kPV * Isa::kLanes, acc[i][j]);
  }
  template <int MR, int NP, bool kHalf>
  static void multiply_rows(const Product& t, std::int64_t row, std::int64_t end) noexcept {
    for (; end - row >= MR; row += MR) multiply<MR, NP, kHalf>(t, row);
    if constexpr (MR > 1) multiply_rows<next_tile_height(MR), NP, kHalf>(t, row, end);
  }

  template <int NP>
  static void run_group(const Group& g, Product t) noexcept {
    if constexpr (NP > 1) {
      if (g.panels < NP) return run_group<NP - 1>(g, t);
    }
    constexpr bool kHalfPanel = Isa::kHalfPanels && NP > 1;
    const bool half = kHalfPanel && g.cols <= NP * kPanelCols - kPanelCols / 2;
    for (int point = 0; point < Layout::kPoints; ++point) {
      const int cls = wino43_class(point / 6, point % 6);
      const std::int64_t begin = g.b->begin[cls], end = g.b->end[cls];
      if (half)
        multiply_rows<Isa::kTileM[NP], NP, kHalfPanel>(t, begin, end);
      else
        multiply_rows<Isa::kTileM[NP], NP, false>(t, begin, end);
      t.v += Layout::kLine;
      t.u += t.bytes * kPanelCols;
      t.m += kPanelCols;
    }
    outputs<NP>(g);
  }

  static void run(const Wino43U8S8Args& a) {
    if (a.tile_begin >= a.tile_end || a.panel_begin >= a.panel_end) return;
    const Layout l(a.shape);
    const std::int64_t tiles = a.tile_end - a.tile_begin;
    // Blocks of about equal size, in whole register tiles.
    const std::int64_t blocks = (tiles + l.max_tiles() - 1) / l.max_tiles();
    const std::int64_t block = ((tiles + blocks - 1) / blocks + 5) / 6 * 6;

    Block b;
    b.a = &a;
    b.scratch = a.scratch;
    b.v = a.scratch + l.v_at();
    Group g{};
    g.b = &b;
    g.m = reinterpret_cast<std::int32_t*>(a.scratch + Layout::kRunBytes);
    Product t{};
    t.v = reinterpret_cast<const std::uint8_t*>(b.v);
    t.panel_bytes = l.panel_bytes();
    t.bytes = l.steps * 4;
    t.m = g.m;
    for (b.first = a.tile_begin; b.first < a.tile_end; b.first += block) {
      b.tiles = std::min(a.tile_end - b.first, block);
      t.chunk_bytes = b.tiles * Layout::kSlot;
      b.place();
      inputs(b);
      for (std::int64_t panel = a.panel_begin; panel < a.panel_end; panel += g.panels) {
        g.panels = next_panel_group<Isa>(a.panel_end - panel);
        g.n = panel * kPanelCols;
        g.cols = std::min(a.shape.out_channels - g.n, g.panels * kPanelCols);
        t.u = reinterpret_cast<const std::int8_t*>(a.packed) + panel * t.panel_bytes;
        run_group<Isa::kMaxPanels>(g, t);
      }
    }
  }

  static std::size_t packed_bytes(const Wino43Shape& s) {
    return static_cast<std::size_t>(panels_of(s.out_channels) * Layout(s).panel_bytes());
  }
  static std::size_t scratch_bytes(const Wino43Shape& s) {
    return static_cast<std::size_t>(Layout(s).scratch_bytes());
  }

  // A step of a panel, 16 columns by two channels, is transformed at once.
  static void pack(const Wino43Shape& s, const GemmBSource& w, std::int64_t panel_begin,
                   std::int64_t panel_end, std::byte* packed) {
    constexpr int kStep = 2 * kPanelCols;
    const Layout l(s);
    for (std::int64_t panel = panel_begin; panel < panel_end; ++panel) {
      auto* out = reinterpret_cast<std::int16_t*>(packed + panel * l.panel_bytes());
      for (std::int64_t step = 0; step < l.steps; ++step, out += kStep) {
        std::int16_t g[9][kStep] = {};
        for (int col = 0; col < kPanelCols; ++col)
          for (int i = 0; i < 2; ++i) {
            const std::int64_t n = panel * kPanelCols + col;
            const std::int64_t c = 2 * step + i;
            if (n >= s.out_channels || c >= s.in_channels) continue;
            const auto* from = static_cast<const std::int8_t*>(w.b) + c * w.k_bytes + n * w.n_bytes;
            const int at = col / Isa::kLanes * 2 * Isa::kLanes + Pairs::index(col % Isa::kLanes, i);
            for (int tap = 0; tap < 9; ++tap) g[tap][at] = from[tap * w.tap_bytes];
          }
        for (int at = 0; at < kStep; at += Isa::kLanes16) {
          S16 rows[18];  // [6][3]
          for (int x = 0; x < 3; ++x)
            Tile::weights(Isa::load_s16(g[x] + at), Isa::load_s16(g[3 + x] + at),
                          Isa::load_s16(g[6 + x] + at), rows + x, 3);
          for (int y = 0; y < 6; ++y) {
            S16 u[6];
            Tile::weights(rows[3 * y], rows[3 * y + 1], rows[3 * y + 2], u, 1);
            for (int x = 0; x < 6; ++x)
              Isa::store_s16(out + (6 * y + x) * l.steps * kStep + at, u[x]);
          }
        }
      }
    }
  }
};

}  // namespace intact
