// gemm_finish.inl.h: how a register tile of gemm_u8s8.inl.h ends: accumulators become codes or
// reals before they leave the registers, or go to memory as they are.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/epilogue.inl.h"

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
  std::int64_t tap_bytes;  // Of A per row and tap.
  const std::int8_t* b;    // First stream.
  std::ptrdiff_t stream_bytes;
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

template <class Isa>
struct GemmFinisher {
  using I32 = typename Isa::I32;
  using F32 = typename Isa::F32;

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

  template <int MR, int NP>
  [[gnu::always_inline]] static inline void finish(const GemmTile& t,
                                                   I32 (&acc)[MR][NP * Isa::kPanelVecs]) noexcept {
    constexpr int NV = NP * Isa::kPanelVecs;
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
};

}  // namespace intact
