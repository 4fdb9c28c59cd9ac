// gemm_tile.inl.h: the inner loop that all integer products share: a register tile over one run of
// k.
//
// Words are what one step needs (isa/scalar.h): a vector of B (load_w), an element of A in every
// lane (bcast_a), and the product (dot) of kStepK consecutive k. An Isa is the Words of bytes,
// Isa::Pairs those of int16.
#pragma once

#include <cstddef>
#include <cstdint>

namespace intact {

// Heights of register tiles below the best one, for the rows that are left.
constexpr int next_tile_height(int mr) noexcept {
  return mr > 8 ? 8 : mr > 6 ? 6 : mr > 4 ? 4 : mr - 1;
}

// Panels of the next group: as wide as possible, but 5 is 3 + 2 rather than 4 + 1.
template <class Isa>
constexpr std::int64_t next_panel_group(std::int64_t left) noexcept {
  if (left == Isa::kMaxPanels + 1 && Isa::kMaxPanels > 2) return Isa::kMaxPanels - 1;
  return left < Isa::kMaxPanels ? left : Isa::kMaxPanels;
}

// Tells the compiler that every accumulator lives in a register here.
template <class Isa, int MR, int NV>
[[gnu::always_inline]] inline void keep_all(typename Isa::I32 (&acc)[MR][NV]) noexcept {
#pragma GCC unroll 32
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 16
    for (int j = 0; j < NV; ++j) Isa::keep(acc[i][j]);
}

// acc[i][jp, v] += the products of row i, `bytes` of it (4 a step), and panel jp of B. Panels lie
// panel_bytes apart. Returns the end of the first panel's run. Call between two keep_all: g++ 12
// sends accumulators through the stack otherwise. kAhead: what lies `ahead` bytes behind the first
// panel is brought nearer, a line a step.
template <class Isa, class Words, int MR, int NP, bool kAhead = false>
[[gnu::always_inline]] inline const std::int8_t* multiply_run(
    typename Isa::I32 (&acc)[MR][NP * Isa::kPanelVecs], const std::uint8_t* const (&p)[MR],
    const std::int8_t* b, std::ptrdiff_t panel_bytes, std::int64_t bytes,
    std::ptrdiff_t ahead = 0) noexcept {
  constexpr int kPV = Isa::kPanelVecs;
#pragma GCC unroll 1
  for (std::int64_t k = 0; k < bytes; k += 4) {
    if constexpr (kAhead) __builtin_prefetch(b + ahead, 0, 2);
    decltype(Words::load_w(b)) w[NP * kPV];
#pragma GCC unroll 4
    for (int jp = 0; jp < NP; ++jp)
#pragma GCC unroll 4
      for (int v = 0; v < kPV; ++v)
        w[jp * kPV + v] = Words::load_w(b + jp * panel_bytes + v * Words::kVecBytes);
    b += kPV * Words::kVecBytes;
#pragma GCC unroll 32
    for (int i = 0; i < MR; ++i) {
      const auto a = Words::bcast_a(p[i] + k);
#pragma GCC unroll 16
      for (int j = 0; j < NP * kPV; ++j) Words::dot(acc[i][j], a, w[j]);
    }
  }
  return b;
}

// The same for the columns of NP panels and a half one behind them, whose products fill half a
// vector: Isa::kHalfPanels says that the vocabulary has one, and that it costs half.
template <class Isa, class Words, int MR, int NP>
[[gnu::always_inline]] inline void multiply_run_and_half(typename Isa::I32 (&acc)[MR][NP],
                                                         typename Isa::Half (&half)[MR],
                                                         const std::uint8_t* const (&p)[MR],
                                                         const std::int8_t* b,
                                                         std::ptrdiff_t panel_bytes,
                                                         std::int64_t bytes) noexcept {
#pragma GCC unroll 1
  for (std::int64_t k = 0; k < bytes; k += 4, b += Words::kVecBytes) {
    decltype(Words::load_w(b)) w[NP];
#pragma GCC unroll 4
    for (int j = 0; j < NP; ++j) w[j] = Words::load_w(b + j * panel_bytes);
    const auto last = Isa::load_half(b + NP * panel_bytes);
#pragma GCC unroll 32
    for (int i = 0; i < MR; ++i) {
      const auto a = Words::bcast_a(p[i] + k);
#pragma GCC unroll 4
      for (int j = 0; j < NP; ++j) Words::dot(acc[i][j], a, w[j]);
      Words::dot_half(half[i], a, last);
    }
  }
}

}  // namespace intact
