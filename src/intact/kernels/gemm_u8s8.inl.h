// gemm_u8s8.inl.h: gemm_u8s8.h over an ISA vocabulary (isa/scalar.h defines the words).
//
// B lies in panels (gemm_pack.inl.h); a register tile is kTileM rows by up to kMaxPanels of them,
// and its K loop runs over all taps without touching memory but A and B. A is used in place through
// row pointers where it can be; a strip of rows is copied (or widened) first where the ISA needs
// other elements, or where taps are so short that padding each of them to kStepK would waste more
// than a quarter of the multiplications.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/epilogue.inl.h"
#include "kernels/gemm_finish.inl.h"
#include "kernels/gemm_pack.inl.h"
#include "kernels/gemm_tile.inl.h"
#include "kernels/gemm_u8s8.h"

namespace intact {

template <class Isa>
struct GemmU8S8 {
  using I32 = typename Isa::I32;
  using F32 = typename Isa::F32;

  // MR rows by NP panels, of the last one half with kHalf. Not inlined: each tile gets the whole
  // register file.
  template <int MR, int NP, bool kHalf>
  [[gnu::noinline]] static void tile(const GemmTile& t) noexcept {
    constexpr int NV = NP * Isa::kPanelVecs;
    I32 acc[MR][NV];
#pragma GCC unroll 16
    for (int j = 0; j < NV; ++j) {
      I32 v = Isa::load_i32(t.init + j * Isa::kLanes);
      if constexpr (kHalf)
        if (j == NV - 1) v = Isa::load_twice(t.init + j * Isa::kLanes);
#pragma GCC unroll 32
      for (int i = 0; i < MR; ++i) acc[i][j] = v;
    }
    constexpr bool kAhead = NP > 2;  // Lower tiles have no register for it.
    multiply<Isa, MR, NP, kAhead, kHalf, 4>(t, acc);
    if constexpr (kHalf) split_rows<Isa>(acc);
    GemmFinisher<Isa>::template finish<MR, NP>(t, acc);
  }

  // MR rows by NS slim streams (gemm_pack.inl.h). Each column is the sum of two lanes.
  template <int MR, int NS>
  [[gnu::noinline]] static void slim_tile(const GemmTile& t) noexcept {
    using Eights = typename Isa::Eights;
    I32 parts[MR][NS];
#pragma GCC unroll 4
    for (int j = 0; j < NS; ++j) {
      const I32 v = Eights::load_i32(t.init + j * GemmLayout<Isa>::kSlimCols);
#pragma GCC unroll 32
      for (int i = 0; i < MR; ++i) parts[i][j] = v;
    }
    multiply<Eights, MR, NS, false, false, GemmLayout<Isa>::kSlimK>(t, parts);
    constexpr int NP = (NS + 1) / 2;
    I32 acc[MR][NP];
#pragma GCC unroll 32
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < NP; ++j) {
        acc[i][j] = Eights::sum(parts[i][2 * j], parts[i][2 * j + 1 < NS ? 2 * j + 1 : 2 * j]);
        Isa::keep(acc[i][j]);
      }
    GemmFinisher<Isa>::template finish<MR, NP>(t, acc);
  }

  // The K loop over all taps; the parameters are those of multiply_run.
  template <class Words, int MR, int NP, bool kAhead, bool kHalf, int kBytes>
  [[gnu::always_inline]] static inline void multiply(
      const GemmTile& t, I32 (&acc)[MR][NP * Isa::kPanelVecs]) noexcept {
    keep_all<Isa, kHalf>(acc);
    const std::uint8_t* const* rows = t.rows;
    const std::int8_t* b = t.b;
    const std::ptrdiff_t stream_bytes = t.stream_bytes;
    const std::int64_t tap_bytes = t.tap_bytes;
    const std::ptrdiff_t ahead = t.ahead;
    std::int64_t tap = t.taps;
    do {
      const std::uint8_t* p[MR];
#pragma GCC unroll 32
      for (int i = 0; i < MR; ++i) p[i] = rows[i];
      rows += t.rows_stride;
      b = multiply_run<Isa, Words, MR, NP, kAhead, kHalf, kBytes>(acc, p, b, stream_bytes,
                                                                  tap_bytes, ahead);
    } while (--tap > 0);
    keep_all<Isa, kHalf>(acc);
  }

  // What stays the same over the tiles of one group of panels.
  struct Group {
    GemmTile tile;             // Of row `row`.
    EpilogueTile rest;         // For GemmFinish::kMemory: rows that wait, of one tile or several.
    std::int64_t row;          // Within the block.
    std::int64_t next_panels;  // Of the next group, that no tile has brought nearer yet.
  };

  // Finishes the rows of accumulators that wait in memory.
  static void release(Group& g) noexcept {
    EpilogueTile& r = g.rest;
    EpilogueRows<Isa>::run(r);
    g.tile.acc = r.acc;
    r.row += r.rows;
    r.out += r.rows * r.out_row_bytes;
    if (r.r != nullptr) r.r += r.rows * r.e->r_row_bytes;
    if (r.za_rows != nullptr) r.za_rows += r.rows;
    r.row_sums += r.rows;
    r.rows = 0;
  }

  // How many columns a tile has.
  template <int kNP, bool kH>
  struct Panels {
    static constexpr int NP = kNP;
    template <int MR>
    static void run(const GemmTile& t) noexcept {
      tile<MR, NP, kH>(t);
    }
  };
  template <int NS>
  struct Streams {
    static constexpr int NP = (NS + 1) / 2;
    template <int MR>
    static void run(const GemmTile& t) noexcept {
      slim_tile<MR, NS>(t);
    }
  };

  // Tiles from MR rows downwards; the tallest has kTop.
  template <class Columns, int kTop, int MR = kTop>
  static void run_tiles(Group& g, std::int64_t rows) noexcept {
    constexpr int NP = Columns::NP;
    GemmTile& t = g.tile;
    g.rest.acc_stride = NP * kPanelCols;
    // A row by itself waits for its own sums: the tiles below share it.
    constexpr bool kSpares = MR == 6 || MR == 8;
    for (; rows - g.row >= MR && !(kSpares && rows - g.row == MR + 1); g.row += MR) {
      // While B of this group is used, that of the next comes nearer, a panel a tile.
      t.ahead = g.next_panels > 0 ? (NP + NP - g.next_panels) * t.stream_bytes : 0;
      if (g.next_panels > 0) --g.next_panels;
      Columns::template run<MR>(t);
      if (t.finish == GemmFinish::kMemory) {
        t.acc += MR * NP * kPanelCols;
        g.rest.rows += MR;
        const bool full = g.rest.rows + kTop > GemmLayout<Isa>::kHeldRows;
        if (full || rows - g.row == MR) release(g);
      }
      t.rows += MR;
      t.out += MR * t.out_row_bytes;
      if (t.r != nullptr) t.r += MR * t.e->r_row_bytes;
    }
    if constexpr (MR > 1) run_tiles<Columns, kTop, next_tile_height(MR)>(g, rows);
  }

  template <int NP>
  static void run_group(Group& g, std::int64_t rows, std::int64_t panels) noexcept {
    if constexpr (NP > 1) {
      if (panels < NP) return run_group<NP - 1>(g, rows, panels);
    }
    constexpr bool kHalf = Isa::kHalfPanels && NP > 1;
    if (kHalf && g.tile.cols <= NP * kPanelCols - kPanelCols / 2)
      run_tiles<Panels<NP, kHalf>, Isa::kTileM[NP]>(g, rows);
    else
      run_tiles<Panels<NP, false>, Isa::kTileM[NP]>(g, rows);
  }

  template <int NS>
  static void run_slim(Group& g, std::int64_t rows) noexcept {
    if constexpr (NS > 1) {
      if (g.tile.cols <= (NS - 1) * GemmLayout<Isa>::kSlimCols) return run_slim<NS - 1>(g, rows);
    }
    run_tiles<Streams<NS>, Isa::Eights::kTileM[NS]>(g, rows);
  }

  static const std::uint8_t* row_of(const GemmU8S8Args& a, std::int64_t tap,
                                    std::int64_t row) noexcept {
    return a.rows != nullptr ? a.rows[tap * a.rows_stride + row] : a.a + row * a.a_row_bytes;
  }

  static void fill_strip(const GemmU8S8Args& a, const GemmLayout<Isa>& l, std::int64_t row,
                         std::int64_t count, std::uint8_t* strip,
                         const std::uint8_t** pointers) noexcept {
    const std::int64_t k = a.shape.k_per_tap;
    const std::int64_t pitch = l.strip_pitch();
    for (std::int64_t i = 0; i < count; ++i) pointers[i] = strip + i * pitch;
    if (k <= 16 && a.rows != nullptr) {
      // Short taps: one copy each. What it writes too far the next tap writes again.
      for (std::int64_t tap = 0; tap < a.shape.taps; ++tap) {
        const std::uint8_t* const* from = a.rows + tap * a.rows_stride + row;
        std::uint8_t* d = strip + tap * k * Isa::kElemBytes;
        for (std::int64_t i = 0; i < count; ++i, d += pitch) Isa::widen(d, from[i], 16);
      }
      return;
    }
    for (std::int64_t i = 0; i < count; ++i) {
      std::uint8_t* d = strip + i * pitch;
      for (std::int64_t tap = 0; tap < a.shape.taps; ++tap, d += k * Isa::kElemBytes)
        Isa::widen(d, row_of(a, tap, row + i), k);
    }
  }

  static void run(const GemmU8S8Args& a) {
    if (a.row_begin >= a.row_end || a.panel_begin >= a.panel_end) return;
    const GemmLayout<Isa> l(a.shape);
    const bool corrected = a.za_rows != nullptr || a.b.zb != nullptr;
    const std::int64_t n_begin = a.panel_begin * kPanelCols;
    const std::int64_t n_end =
        a.panel_end * kPanelCols < a.shape.n ? a.panel_end * kPanelCols : a.shape.n;
    const GemmFinish finish =
        corrected ? GemmFinish::kMemory
                  : GemmFinisher<Isa>::finish_of(a.epilogue, n_begin, n_end - n_begin);
    const std::int64_t element_bytes = a.epilogue.kind == EpilogueKind::kCodes ? 1 : 4;
    auto** pointers = reinterpret_cast<const std::uint8_t**>(a.scratch);
    auto* sums = reinterpret_cast<std::int32_t*>(a.scratch + GemmLayout<Isa>::kSumsAt);
    auto* strip = reinterpret_cast<std::uint8_t*>(a.scratch + GemmLayout<Isa>::kStripAt);
    const bool in_place = a.rows != nullptr && !l.strip;
    const std::int64_t block = l.block_rows();

    Group g{};
    GemmTile& t = g.tile;
    t.taps = l.taps;
    t.tap_bytes = l.tap_bytes();
    t.stream_bytes = l.stream_bytes();
    t.finish = finish;
    t.e = &a.epilogue;
    t.out_row_bytes = a.out_row_bytes;
    t.acc = reinterpret_cast<std::int32_t*>(a.scratch + GemmLayout<Isa>::kAccAt);
    EpilogueTile& r = g.rest;
    r.acc = t.acc;
    r.out_row_bytes = a.out_row_bytes;
    r.e = &a.epilogue;
    if (finish == GemmFinish::kMemory) EpilogueRows<Isa>::judge(r, n_begin, n_end - n_begin);

    const std::int64_t chunk = l.chunk_panels();
    for (std::int64_t c0 = a.panel_begin; c0 < a.panel_end; c0 += chunk) {
      const std::int64_t c1 = c0 + chunk < a.panel_end ? c0 + chunk : a.panel_end;
      std::int64_t rows = 0;
      for (std::int64_t m0 = a.row_begin; m0 < a.row_end; m0 += rows) {
        // A few rows by themselves would be another pass over B.
        const std::int64_t left = a.row_end - m0;
        rows = left <= block + GemmLayout<Isa>::kBlockRest ? left : block;
        if (l.strip) {
          fill_strip(a, l, m0, rows, strip, pointers);
        } else if (!in_place) {
          for (std::int64_t i = 0; i < rows; ++i) pointers[i] = a.a + (m0 + i) * a.a_row_bytes;
        }
        t.rows_stride = in_place ? a.rows_stride : 0;
        if (a.b.zb != nullptr) {
          for (std::int64_t i = 0; i < rows; ++i) {
            std::uint32_t sum = 0;
            for (std::int64_t tap = 0; tap < a.shape.taps; ++tap)
              sum += static_cast<std::uint32_t>(
                  Isa::sum_u8(row_of(a, tap, m0 + i), a.shape.k_per_tap));
            sum -= static_cast<std::uint32_t>(Isa::kAOffset * a.shape.k());
            sums[i] = static_cast<std::int32_t>(sum);
          }
        }
        for (std::int64_t p = c0; p < c1;) {
          const std::int64_t panels = next_panel_group<Isa>(c1 - p);
          const std::int64_t n = p * kPanelCols;
          t.rows = in_place ? a.rows + m0 : pointers;
          t.b = a.b.packed + p * l.panel_bytes();
          t.init = a.b.init + n;
          t.m = a.epilogue.m + n;
          t.c = a.epilogue.c + n;
          if (a.epilogue.is_mapped()) {
            t.g_m = a.epilogue.g_m + n;
            t.g_c = a.epilogue.g_c + n;
          }
          t.cols = a.shape.n - n < panels * kPanelCols ? a.shape.n - n : panels * kPanelCols;
          t.out = static_cast<std::byte*>(a.out) + m0 * a.out_row_bytes + n * element_bytes;
          t.r = a.epilogue.residual_at(m0, n);
          if (finish == GemmFinish::kMemory) {
            r.cols = t.cols;
            r.row = m0;
            r.out = t.out;
            r.r = t.r;
            r.row_sums = sums;
            r.m = t.m;
            r.c = t.c;
            r.g_m = t.g_m;
            r.g_c = t.g_c;
            if (a.epilogue.steps) r.steps = a.epilogue.steps.v + n;
            r.za_rows = a.za_rows == nullptr ? nullptr : a.za_rows + m0;
            r.colsum = a.b.colsum == nullptr ? nullptr : a.b.colsum + n;
            r.zb = a.b.zb == nullptr ? nullptr : a.b.zb + n;
          }
          g.row = 0;
          // Behind the last group of a chunk comes its first again, or the next chunk's.
          g.next_panels = m0 == a.row_begin && p + 2 * panels <= a.panel_end ? panels : 0;
          if constexpr (GemmLayout<Isa>::kCanSlim) {
            if (l.slim) run_slim<3>(g, rows);
          }
          if (!l.slim) run_group<Isa::kMaxPanels>(g, rows, panels);
          p += panels;
        }
      }
    }
  }

  static std::size_t scratch_bytes(const GemmShape& s) {
    return GemmLayout<Isa>(s).scratch_bytes();
  }
};

}  // namespace intact
