// gemm_u8s8.inl.h: gemm_u8s8.h over an ISA vocabulary (isa/scalar.h defines the words).
//
// B lies in panels of 16 columns, each one stream [K / kStepK][16][kStepK]; a register tile is
// kTileM rows by up to kMaxPanels panels, and its K loop runs over all taps without touching memory
// but A and B. A is used in place through row pointers where it can be; a strip of rows is copied
// (or widened) first where the ISA needs other elements, or where taps are so short that padding
// each of them to kStepK would waste more than a quarter of the multiplications.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/epilogue.inl.h"
#include "kernels/gemm_tile.inl.h"
#include "kernels/gemm_u8s8.h"

namespace intact {

// How a register tile ends.
enum class GemmFinish : std::uint8_t {
  kPlain,       // Equation (1) of epilogue.h on the registers.
  kSummed,      // Equations (2) and (3) on the registers.
  kHardSwish,   // Equation (5) with that function, on the registers.
  kHardSwish6,  // The same.
  kLeakyRelu,   // Equation (4) with that function, on the registers.
  kMapped,      // Equation (7) on the registers.
  kFloat,       // Reals without a scale a row, on the registers.
  kMemory,      // Accumulators go to `acc`, and EpilogueRows does the rest.
};

// What one register tile reads and writes.
struct GemmTile {
  const std::uint8_t* const* rows;  // rows[tap * rows_stride + i]: row i of the tile.
  std::ptrdiff_t rows_stride;
  std::int64_t taps;
  std::int64_t tap_bytes;  // Of A per row and tap: steps * 4.
  const std::int8_t* b;    // First panel.
  std::ptrdiff_t panel_bytes;
  std::ptrdiff_t ahead;  // Bytes from b to a panel that is needed soon, or 0.
  const std::int32_t* init;
  GemmFinish finish;
  const Epilogue* e;
  const float* m;
  const float* c;
  const float* g_m;
  const float* g_c;
  std::int64_t cols;  // Valid columns.
  std::byte* out;
  std::ptrdiff_t out_row_bytes;
  const std::uint8_t* r;  // Residual of the tile's first element.
  std::int32_t* acc;      // [MR][NP * 16]
};

// Where things are, as functions of the shape alone.
template <class Isa>
struct GemmLayout {
  static constexpr std::int64_t kStepBytes = std::int64_t{kPanelCols} * Isa::kStepK;
  static constexpr std::int32_t kBlockUnit = Isa::kMaxPanels > 1 ? 24 : Isa::kTileM[1];
  static constexpr std::int64_t kBlockMax = 96;  // Rows of A worked on together: a multiple of
                                                 // every tile height,
  static constexpr std::int64_t kBlockRest = 6;  // and up to that many more than one block has.
  static constexpr std::int64_t kBlockBytes = 24 << 10;   // Of A a block, about: stays in L1.
  static constexpr std::int64_t kChunkBytes = 448 << 10;  // Of B worked on together: stays in L2.

  bool strip;
  std::int64_t taps;       // Of the K loop: 1 with a strip.
  std::int64_t tap_steps;  // kStepK steps per tap of the K loop.

  explicit GemmLayout(const GemmShape& s) noexcept
      : strip(Isa::kAlwaysStrip ||
              (s.taps > 1 && 3 * ((s.k_per_tap + 3) / 4 * 4) > 4 * s.k_per_tap)),
        taps(strip ? 1 : s.taps),
        tap_steps(((strip ? s.k() : s.k_per_tap) + Isa::kStepK - 1) / Isa::kStepK) {}

  // Panels are one step apart in the cache's sets: equal strides of 4 KiB would collide.
  [[nodiscard]] std::int64_t panel_bytes() const noexcept {
    const std::int64_t bytes = taps * tap_steps * kStepBytes;
    return bytes % 512 == 0 ? bytes + 64 : (bytes + 63) / 64 * 64;
  }
  // Bytes from one strip row to the next: what may be written too far, and an odd number of lines.
  [[nodiscard]] std::int64_t strip_pitch() const noexcept {
    return ((tap_steps * 4 + 2 * 64 + 63) / 64 * 64) | 64;
  }
  // Rows worked on together. They all share one pass over a chunk of B.
  [[nodiscard]] std::int64_t block_rows() const noexcept {
    constexpr std::int64_t kUnit = kBlockUnit;
    const std::int64_t row_bytes = strip ? strip_pitch() : taps * tap_steps * 4;
    const std::int64_t fit = kBlockBytes / (row_bytes > 0 ? row_bytes : 1) / kUnit * kUnit;
    return fit < kUnit ? kUnit : fit > kBlockMax ? kBlockMax / kUnit * kUnit : fit;
  }
  [[nodiscard]] std::int64_t chunk_panels() const noexcept {
    const std::int64_t fit = kChunkBytes / (panel_bytes() > 0 ? panel_bytes() : 1);
    return fit < Isa::kMaxPanels ? Isa::kMaxPanels : fit / Isa::kMaxPanels * Isa::kMaxPanels;
  }

  static constexpr int kHeldRows = 24;  // Of accumulators: at least one tile.

  // Scratch: row pointers, row sums, held accumulators, the strip.
  static constexpr std::int64_t kBlockRoom = (kBlockMax + kBlockRest + 15) / 16 * 16;
  static constexpr std::size_t kSumsAt = kBlockRoom * sizeof(void*);
  static constexpr std::size_t kAccAt = kSumsAt + kBlockRoom * 4;
  static constexpr std::size_t kStripAt = kAccAt + std::size_t{kHeldRows} * 4 * kPanelCols * 4;
  [[nodiscard]] std::size_t scratch_bytes() const noexcept {
    return kStripAt + (strip ? std::size_t((block_rows() + kBlockRest) * strip_pitch()) : 0);
  }
};

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
    keep_all<Isa, kHalf>(acc);
    const std::uint8_t* const* rows = t.rows;
    const std::int8_t* b = t.b;
    const std::ptrdiff_t panel_bytes = t.panel_bytes;
    const std::int64_t tap_bytes = t.tap_bytes;
    const std::ptrdiff_t ahead = t.ahead;
    constexpr bool kAhead = NP > 2;  // Lower tiles have no register for it.
    std::int64_t tap = t.taps;
    do {
      const std::uint8_t* p[MR];
#pragma GCC unroll 32
      for (int i = 0; i < MR; ++i) p[i] = rows[i];
      rows += t.rows_stride;
      b = multiply_run<Isa, Isa, MR, NP, kAhead, kHalf>(acc, p, b, panel_bytes, tap_bytes, ahead);
    } while (--tap > 0);
    keep_all<Isa, kHalf>(acc);
    if constexpr (kHalf) split_rows<Isa>(acc);
    // Hides everything the epilogue needs until here, so that nothing of it is kept in registers
    // (or spilled) over the K loop.
    const GemmTile* late = &t;
    asm volatile("" : "+r"(late) : : "memory");
    if (late->finish == GemmFinish::kPlain) return store_plain_codes<MR, NP>(*late, acc);
    if (late->finish == GemmFinish::kSummed)
      return late->e->residual == Residual::kAfterCode
                 ? store_summed_codes<MR, NP, Residual::kAfterCode>(*late, acc)
                 : store_summed_codes<MR, NP, Residual::kBeforeCode>(*late, acc);
    using Floats = typename Isa::Floats;
    if (late->finish == GemmFinish::kHardSwish)
      return store_function_codes<MR, NP, true>(
          *late, acc, [](auto v) { return MathF32<Floats>::hard_swish(v); });
    if (late->finish == GemmFinish::kHardSwish6)
      return store_function_codes<MR, NP, true>(
          *late, acc, [](auto v) { return MathF32<Floats>::hard_swish6_small(v); });
    if (late->finish == GemmFinish::kLeakyRelu) {
      const auto zero = Floats::set(0.0f), alpha = Floats::set(late->e->function->alpha);
      return store_function_codes<MR, NP, false>(*late, acc, [&](auto v) {
        return Floats::select(Floats::lt(v, zero), Floats::mul(alpha, v), v);
      });
    }
    if (late->finish == GemmFinish::kMapped)
      return late->e->residual == Residual::kReal
                 ? store_mapped_codes<MR, NP, Residual::kReal>(*late, acc)
                 : store_mapped_codes<MR, NP, Residual::kBeforeMap>(*late, acc);
    if (late->finish == GemmFinish::kFloat) return store_reals<MR, NP>(*late, acc);
#pragma GCC unroll 32
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 16
      for (int j = 0; j < NV; ++j)
        Isa::store_i32(late->acc + (i * NV + j) * Isa::kLanes, acc[i][j]);
  }

  // Equation (1) of epilogue.h where EpilogueRows::is_plain: the bounds are applied to the bytes.
  template <int MR, int NP>
  [[gnu::always_inline]] static inline void store_plain_codes(
      const GemmTile& t, I32 (&acc)[MR][NP * Isa::kPanelVecs]) noexcept {
    constexpr int NV = NP * Isa::kPanelVecs;
#pragma GCC unroll 16
    for (int j = 0; j < NV; ++j) {
      const F32 m = Isa::load_f32(t.m + j * Isa::kLanes);
      const F32 c = Isa::load_f32(t.c + j * Isa::kLanes);
#pragma GCC unroll 32
      for (int i = 0; i < MR; ++i) {
        acc[i][j] = Isa::to_i32(Isa::fma(Isa::to_f32(acc[i][j]), m, c));
        Isa::keep(acc[i][j]);
      }
    }
    store_codes<MR, NP>(t, acc);
  }

  template <int MR, int NP>
  [[gnu::always_inline]] static inline void store_codes(
      const GemmTile& t, const I32 (&acc)[MR][NP * Isa::kPanelVecs]) noexcept {
    const CodeLimits& k = t.e->codes;
    const auto consts = Isa::code_consts(k.zero, k.lo, k.hi);
    auto* out = reinterpret_cast<std::uint8_t*>(t.out);
    constexpr int NV = NP * Isa::kPanelVecs;
    constexpr int kRows = NV < Isa::kCodeVecs ? Isa::kCodeVecs / NV : 1;
#pragma GCC unroll 32
    for (int i = 0; i + kRows <= MR; i += kRows)
      Isa::template store_codes<NV, kRows>(out + i * t.out_row_bytes, t.out_row_bytes, acc + i,
                                           consts, t.cols, t.e->lut);
#pragma GCC unroll 8
    for (int i = MR / kRows * kRows; i < MR; ++i)
      Isa::template store_codes<NV>(out + i * t.out_row_bytes, acc[i], consts, t.cols, t.e->lut);
  }

  // Equation (4) or (5) where EpilogueRows::is_function_small, without residual.
  template <int MR, int NP, bool kApart, class Function>
  [[gnu::always_inline]] static inline void store_function_codes(
      const GemmTile& t, I32 (&acc)[MR][NP * Isa::kPanelVecs], const Function& g) noexcept {
#pragma GCC unroll 16
    for (int j = 0; j < NP * Isa::kPanelVecs; ++j) {
      const F32 m = Isa::load_f32(t.m + j * Isa::kLanes);
      const F32 c = Isa::load_f32(t.c + j * Isa::kLanes);
      const F32 g_m = Isa::load_f32(t.g_m + j * Isa::kLanes);
      const F32 g_c = Isa::load_f32(t.g_c + j * Isa::kLanes);
#pragma GCC unroll 32
      for (int i = 0; i < MR; ++i) {
        const F32 x = Isa::fma(Isa::to_f32(acc[i][j]), m, c);
        const F32 y = Isa::apply(g, x);
        acc[i][j] =
            Isa::to_i32(kApart ? EpilogueRows<Isa>::map_apart(y, g_m, g_c) : Isa::fma(y, g_m, g_c));
        Isa::keep(acc[i][j]);
      }
    }
    store_codes<MR, NP>(t, acc);
  }

  // Reals, numerics.md: "output left in float".
  template <int MR, int NP>
  [[gnu::always_inline]] static inline void store_reals(
      const GemmTile& t, const I32 (&acc)[MR][NP * Isa::kPanelVecs]) noexcept {
    const F32 lo = Isa::set_f32(t.e->lo_f);
    const F32 hi = Isa::set_f32(t.e->hi_f);
#pragma GCC unroll 16
    for (int j = 0; j < NP * Isa::kPanelVecs; ++j) {
      const std::int64_t left = t.cols - j * Isa::kLanes;
      if (left <= 0) return;
      const F32 m = Isa::load_f32(t.m + j * Isa::kLanes);
      const F32 c = Isa::load_f32(t.c + j * Isa::kLanes);
#pragma GCC unroll 32
      for (int i = 0; i < MR; ++i) {
        auto* out = reinterpret_cast<float*>(t.out + i * t.out_row_bytes) + j * Isa::kLanes;
        const F32 f = Isa::max(Isa::min(Isa::fma(Isa::to_f32(acc[i][j]), m, c), hi), lo);
        if (left >= Isa::kLanes)
          Isa::store_f32(out, f);
        else
          Isa::store_f32(out, f, left);
      }
    }
  }

  // Equations (2) and (3) where EpilogueRows::is_summed: as above, after the sum in float.
  template <int MR, int NP, Residual kResidual>
  [[gnu::always_inline]] static inline void store_summed_codes(
      const GemmTile& t, I32 (&acc)[MR][NP * Isa::kPanelVecs]) noexcept {
    constexpr int NV = NP * Isa::kPanelVecs;
    const Epilogue& e = *t.e;
    const F32 lo = Isa::set_f32(static_cast<float>(e.first.lo - e.first.zero));
    const F32 hi = Isa::set_f32(static_cast<float>(e.first.hi - e.first.zero));
    const F32 first_ratio = Isa::set_f32(e.first_ratio);
    const F32 r_ratio = Isa::set_f32(e.r_ratio);
    const I32 r_zero = Isa::set_i32(e.r_zero);
#pragma GCC unroll 16
    for (int j = 0; j < NV; ++j) {
      const F32 m = Isa::load_f32(t.m + j * Isa::kLanes);
      const F32 c = Isa::load_f32(t.c + j * Isa::kLanes);
#pragma GCC unroll 32
      for (int i = 0; i < MR; ++i) {
        const F32 f = Isa::fma(Isa::to_f32(acc[i][j]), m, c);
        const I32 r = Isa::sub(Isa::load_u8(t.r + i * e.r_row_bytes + j * Isa::kLanes), r_zero);
        const F32 s = Isa::mul(Isa::to_f32(r), r_ratio);
        if constexpr (kResidual == Residual::kAfterCode)
          acc[i][j] =
              Isa::to_i32(Isa::fma(Isa::round(Isa::max(Isa::min(f, hi), lo)), first_ratio, s));
        else
          acc[i][j] = Isa::to_i32(Isa::add(f, s));
        Isa::keep(acc[i][j]);
      }
    }
    store_codes<MR, NP>(t, acc);
  }

  // Equation (7), as written.
  template <int MR, int NP, Residual kResidual>
  [[gnu::always_inline]] static inline void store_mapped_codes(
      const GemmTile& t, I32 (&acc)[MR][NP * Isa::kPanelVecs]) noexcept {
    constexpr int NV = NP * Isa::kPanelVecs;
    const Epilogue& e = *t.e;
    const typename EpilogueRows<Isa>::Limits last(e.codes);
    const F32 r_ratio = Isa::set_f32(e.r_ratio);
    const I32 r_zero = Isa::set_i32(e.r_zero);
#pragma GCC unroll 16
    for (int j = 0; j < NV; ++j) {
      const std::int64_t n = j * Isa::kLanes;
      const F32 m = Isa::load_f32(t.m + n), c = Isa::load_f32(t.c + n);
      const F32 g_m = Isa::load_f32(t.g_m + n), g_c = Isa::load_f32(t.g_c + n);
#pragma GCC unroll 32
      for (int i = 0; i < MR; ++i) {
        const F32 s = EpilogueRows<Isa>::template residual<kResidual>(t.r + i * e.r_row_bytes, n,
                                                                      t.cols - n, r_zero, r_ratio);
        const F32 x = Isa::add(Isa::fma(Isa::to_f32(acc[i][j]), m, c), s);
        acc[i][j] = last.round(Isa::nan_to_zero(Isa::fma(x, g_m, g_c)));
        Isa::keep(acc[i][j]);
      }
    }
    store_codes<MR, NP>(t, acc);
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

  template <int NP, int MR, bool kHalf>
  static void run_tiles(Group& g, std::int64_t rows) noexcept {
    GemmTile& t = g.tile;
    // A row by itself waits for its own sums: the tiles below share it.
    constexpr bool kSpares = MR == 6 || MR == 8;
    for (; rows - g.row >= MR && !(kSpares && rows - g.row == MR + 1); g.row += MR) {
      // While B of this group is used, that of the next comes nearer, a panel a tile.
      t.ahead = g.next_panels > 0 ? (NP + NP - g.next_panels) * t.panel_bytes : 0;
      if (g.next_panels > 0) --g.next_panels;
      tile<MR, NP, kHalf>(t);
      if (t.finish == GemmFinish::kMemory) {
        t.acc += MR * NP * kPanelCols;
        g.rest.rows += MR;
        const bool full = g.rest.rows + Isa::kTileM[NP] > GemmLayout<Isa>::kHeldRows;
        if (full || rows - g.row == MR) release(g);
      }
      t.rows += MR;
      t.out += MR * t.out_row_bytes;
      if (t.r != nullptr) t.r += MR * t.e->r_row_bytes;
    }
    if constexpr (MR > 1) run_tiles<NP, next_tile_height(MR), kHalf>(g, rows);
  }

  template <int NP>
  static void run_group(Group& g, std::int64_t rows, std::int64_t panels) noexcept {
    if constexpr (NP > 1) {
      if (panels < NP) return run_group<NP - 1>(g, rows, panels);
    }
    g.rest.acc_stride = NP * kPanelCols;
    constexpr bool kHalf = Isa::kHalfPanels && NP > 1;
    if (kHalf && g.tile.cols <= NP * kPanelCols - kPanelCols / 2)
      run_tiles<NP, Isa::kTileM[NP], kHalf>(g, rows);
    else
      run_tiles<NP, Isa::kTileM[NP], false>(g, rows);
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

  static GemmFinish finish_of(const Epilogue& e, std::int64_t n, std::int64_t cols) noexcept {
    if (EpilogueRows<Isa>::is_plain(e, n, cols)) return GemmFinish::kPlain;
    if (EpilogueRows<Isa>::is_summed(e, n, cols)) return GemmFinish::kSummed;
    if (e.kind == EpilogueKind::kCodes && e.is_mapped() && !e.function) return GemmFinish::kMapped;
    if (e.function && e.residual == Residual::kNone &&
        EpilogueRows<Isa>::is_function_small(e, n, cols)) {
      const UnaryOp op = e.function->op;
      if (e.apart && op == UnaryOp::kHardSwish) return GemmFinish::kHardSwish;
      if (e.apart && op == UnaryOp::kHardSwish6) return GemmFinish::kHardSwish6;
      if (!e.apart && op == UnaryOp::kLeakyRelu) return GemmFinish::kLeakyRelu;
    }
    if (e.kind == EpilogueKind::kFloat && e.row_scale == nullptr) return GemmFinish::kFloat;
    return GemmFinish::kMemory;
  }

  static void run(const GemmU8S8Args& a) {
    if (a.row_begin >= a.row_end || a.panel_begin >= a.panel_end) return;
    const GemmLayout<Isa> l(a.shape);
    const bool corrected = a.za_rows != nullptr || a.b.zb != nullptr;
    const std::int64_t n_begin = a.panel_begin * kPanelCols;
    const std::int64_t n_end =
        a.panel_end * kPanelCols < a.shape.n ? a.panel_end * kPanelCols : a.shape.n;
    const GemmFinish finish =
        corrected ? GemmFinish::kMemory : finish_of(a.epilogue, n_begin, n_end - n_begin);
    const std::int64_t element_bytes = a.epilogue.kind == EpilogueKind::kCodes ? 1 : 4;
    auto** pointers = reinterpret_cast<const std::uint8_t**>(a.scratch);
    auto* sums = reinterpret_cast<std::int32_t*>(a.scratch + GemmLayout<Isa>::kSumsAt);
    auto* strip = reinterpret_cast<std::uint8_t*>(a.scratch + GemmLayout<Isa>::kStripAt);
    const bool in_place = a.rows != nullptr && !l.strip;
    const std::int64_t block = l.block_rows();

    Group g{};
    GemmTile& t = g.tile;
    t.taps = l.taps;
    t.tap_bytes = l.tap_steps * 4;
    t.panel_bytes = l.panel_bytes();
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
          run_group<Isa::kMaxPanels>(g, rows, panels);
          p += panels;
        }
      }
    }
  }

  static std::size_t packed_bytes(const GemmShape& s) {
    return static_cast<std::size_t>(panels_of(s.n) * GemmLayout<Isa>(s).panel_bytes());
  }
  static std::size_t scratch_bytes(const GemmShape& s) {
    return GemmLayout<Isa>(s).scratch_bytes();
  }

  static void pack_b(const GemmShape& s, const GemmBSource& src, std::int64_t panel_begin,
                     std::int64_t panel_end, std::int8_t* packed, const GemmBStats& stats) {
    const GemmLayout<Isa> l(s);
    for (std::int64_t p = panel_begin; p < panel_end; ++p) {
      std::int8_t* panel = packed + p * l.panel_bytes();
      const std::int64_t n0 = p * kPanelCols;
      const int cols = static_cast<int>(s.n - n0 < kPanelCols ? s.n - n0 : kPanelCols);
      const auto* b = static_cast<const std::uint8_t*>(src.b) + n0 * src.n_bytes;
      if (s.taps == 1 || !l.strip || s.k_per_tap % Isa::kStepK == 0)
        pack_steps(s, l, src, b, cols, panel);
      else
        pack_bytes(s, l, src, b, cols, panel);
      if (src.is_unsigned) flip(s, l, cols, panel);
      count(s, l, src, n0, cols, panel, stats);
    }
  }

  // Whole steps: the kStepK bytes of a column are gathered and stored at once.
  static void pack_steps(const GemmShape& s, const GemmLayout<Isa>& l, const GemmBSource& src,
                         const std::uint8_t* b, int cols, std::int8_t* panel) noexcept {
    const std::int64_t steps = (s.k_per_tap + Isa::kStepK - 1) / Isa::kStepK;
    std::int8_t* out = panel;
    for (std::int64_t tap = 0; tap < s.taps; ++tap) {
      const std::uint8_t* from = b + tap * src.tap_bytes;
      for (std::int64_t i = 0; i < steps; ++i, out += GemmLayout<Isa>::kStepBytes) {
        const std::int64_t k = i * Isa::kStepK;
        const std::uint8_t* at = from + k * src.k_bytes;
        if (s.k_per_tap - k < Isa::kStepK)
          pack_step(at, src, static_cast<int>(s.k_per_tap - k), cols, out);
        else if (src.n_bytes == 1 && cols == kPanelCols)
          pack_rows(at, src.k_bytes, out);
        else if (src.k_bytes == 1)
          for (int col = 0; col < cols; ++col)
            std::memcpy(out + col * Isa::kStepK, at + col * src.n_bytes, Isa::kStepK);
        else
          pack_step(at, src, Isa::kStepK, cols, out);
        if (cols < kPanelCols)
          std::memset(out + cols * Isa::kStepK, 0,
                      static_cast<std::size_t>(kPanelCols - cols) * Isa::kStepK);
      }
    }
    const std::int64_t used = out - panel;
    std::memset(out, 0, static_cast<std::size_t>(l.panel_bytes() - used));
  }
  // `count` <= kStepK consecutive k of each column; the rest of the step is 0.
  static void pack_step(const std::uint8_t* at, const GemmBSource& src, int count, int cols,
                        std::int8_t* out) noexcept {
    for (int col = 0; col < cols; ++col) {
      std::uint8_t step[Isa::kStepK] = {};
      for (int i = 0; i < count; ++i) step[i] = at[i * src.k_bytes + col * src.n_bytes];
      std::memcpy(out + col * Isa::kStepK, step, Isa::kStepK);
    }
  }
  // The columns of a step lie side by side: interleaves kStepK rows.
  static void pack_rows(const std::uint8_t* at, std::ptrdiff_t k_bytes, std::int8_t* out) noexcept {
    std::uint32_t words[kPanelCols] = {};
    for (int i = 0; i < Isa::kStepK; ++i)
      for (int col = 0; col < kPanelCols; ++col)
        words[col] |= static_cast<std::uint32_t>(at[i * k_bytes + col]) << (8 * i);
    for (int col = 0; col < kPanelCols; ++col) {
      if constexpr (Isa::kStepK == 4)
        std::memcpy(out + 4 * col, &words[col], 4);
      else
        for (int i = 0; i < Isa::kStepK; ++i)
          out[col * Isa::kStepK + i] = static_cast<std::int8_t>(words[col] >> (8 * i));
    }
  }
  // Taps that are not whole steps follow each other without padding.
  static void pack_bytes(const GemmShape& s, const GemmLayout<Isa>& l, const GemmBSource& src,
                         const std::uint8_t* b, int cols, std::int8_t* panel) noexcept {
    std::memset(panel, 0, static_cast<std::size_t>(l.panel_bytes()));
    for (int col = 0; col < cols; ++col)
      for (std::int64_t i = 0; i < s.k(); ++i) {
        const std::uint8_t code =
            b[i / s.k_per_tap * src.tap_bytes + i % s.k_per_tap * src.k_bytes + col * src.n_bytes];
        panel[i / Isa::kStepK * GemmLayout<Isa>::kStepBytes + col * Isa::kStepK + i % Isa::kStepK] =
            static_cast<std::int8_t>(code);
      }
  }
  // u8 to s8: subtracts 128 from what is not padding.
  static void flip(const GemmShape& s, const GemmLayout<Isa>& l, int cols,
                   std::int8_t* panel) noexcept {
    const std::int64_t tap_k = l.strip ? s.k() : s.k_per_tap;
    for (std::int64_t tap = 0; tap < l.taps; ++tap)
      for (std::int64_t step = 0; step < l.tap_steps; ++step) {
        std::int8_t* p = panel + (tap * l.tap_steps + step) * GemmLayout<Isa>::kStepBytes;
        const std::int64_t left = tap_k - step * Isa::kStepK;
        if (left >= Isa::kStepK) {
          for (int i = 0; i < cols * Isa::kStepK; ++i) p[i] = static_cast<std::int8_t>(p[i] ^ -128);
        } else {
          for (int i = 0; i < cols * Isa::kStepK; ++i)
            if (i % Isa::kStepK < left) p[i] = static_cast<std::int8_t>(p[i] ^ -128);
        }
      }
  }
  // The statistics of a packed panel.
  static void count(const GemmShape& s, const GemmLayout<Isa>& l, const GemmBSource& src,
                    std::int64_t n0, int cols, const std::int8_t* panel,
                    const GemmBStats& stats) noexcept {
    constexpr int kBytes = static_cast<int>(GemmLayout<Isa>::kStepBytes);
    const std::int32_t shift = src.is_unsigned ? 128 : 0;
    std::int32_t zb[kBytes] = {};
    for (int i = 0; i < cols * Isa::kStepK; ++i)
      zb[i] = (src.zb != nullptr ? src.zb[n0 + i / Isa::kStepK] : src.zb_all) - shift;
    std::int32_t sum[kBytes] = {};
    std::int32_t sum_abs[kBytes] = {};
    const std::int64_t steps = l.taps * l.tap_steps;
    for (std::int64_t step = 0; step < steps; ++step, panel += kBytes) {
      if (stats.sum_abs != nullptr)
        for (int i = 0; i < kBytes; ++i) {
          const std::int32_t d = panel[i] - zb[i];
          sum_abs[i] += d < 0 ? -d : d;
        }
      for (int i = 0; i < kBytes; ++i) sum[i] += panel[i];
    }
    // Padding steps are 0: they count in neither sum of codes, but as |zb| in the other.
    const auto k = static_cast<std::int32_t>(s.k());
    const auto padding = static_cast<std::int32_t>(steps * Isa::kStepK) - k;
    for (int col = 0; col < kPanelCols; ++col) {
      const std::int32_t z = zb[col * Isa::kStepK];
      std::int32_t total = -k * z;
      std::int32_t total_abs = -padding * (z < 0 ? -z : z);
      for (int i = col * Isa::kStepK; i < (col + 1) * Isa::kStepK; ++i) {
        total += sum[i];
        total_abs += sum_abs[i];
      }
      stats.colsum[n0 + col] = total;
      if (stats.sum_abs != nullptr) stats.sum_abs[n0 + col] = total_abs;
      if (stats.zb != nullptr) stats.zb[n0 + col] = z;
    }
  }

  static void make_init(const GemmShape& s, const std::int32_t* bias, std::int32_t za,
                        const std::int32_t* colsum, std::int32_t* init) {
    const std::int64_t padded = padded_n(s.n);
    const auto z = static_cast<std::uint32_t>(za - Isa::kAOffset);
    for (std::int64_t n = 0; n < padded; ++n)
      init[n] = static_cast<std::int32_t>(0u - z * static_cast<std::uint32_t>(colsum[n]));
    if (bias == nullptr) return;
    for (std::int64_t n = 0; n < s.n; ++n)
      init[n] = static_cast<std::int32_t>(static_cast<std::uint32_t>(init[n]) +
                                          static_cast<std::uint32_t>(bias[n]));
  }
};

}  // namespace intact
