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

// With kHalf the last panel has no more than half of its columns, and two rows share a vector: its
// first half is the panel's columns of row i, its second half those of row i + 1, and acc[i][last]
// holds it for even i until split_rows. Isa::kHalfPanels says that the vocabulary can; then a panel
// is one vector.
template <bool kHalf, int NV>
constexpr bool is_shared(int i, int j) noexcept {
  return kHalf && i % 2 == 1 && j == NV - 1;
}

// Tells the compiler that every accumulator lives in a register here.
template <class Isa, bool kHalf = false, int MR, int NV>
[[gnu::always_inline]] inline void keep_all(typename Isa::I32 (&acc)[MR][NV]) noexcept {
#pragma GCC unroll 32
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 16
    for (int j = 0; j < NV; ++j)
      if (!is_shared<kHalf, NV>(i, j)) Isa::keep(acc[i][j]);
}

// Gives each row what it has in shared vectors. The rest of those becomes anything.
template <class Isa, int MR, int NV>
[[gnu::always_inline]] inline void split_rows(typename Isa::I32 (&acc)[MR][NV]) noexcept {
#pragma GCC unroll 32
  for (int i = 1; i < MR; i += 2) acc[i][NV - 1] = Isa::second_half(acc[i - 1][NV - 1]);
}

// acc[i][jp, v] += the product of one step: of what at(i) points to and of the vectors of panel jp,
// which lie panel_bytes apart.
template <class Isa, class Words, int MR, int NP, bool kHalf, class At>
[[gnu::always_inline]] inline void multiply_step(typename Isa::I32 (&acc)[MR][NP * Isa::kPanelVecs],
                                                 const At& at, const std::int8_t* b,
                                                 std::ptrdiff_t panel_bytes) noexcept {
  constexpr int kPV = Isa::kPanelVecs;
  constexpr int kFull = kHalf ? NP - 1 : NP;
  decltype(Words::load_w(b)) w[NP * kPV];
#pragma GCC unroll 4
  for (int jp = 0; jp < kFull; ++jp)
#pragma GCC unroll 4
    for (int v = 0; v < kPV; ++v)
      w[jp * kPV + v] = Words::load_w(b + jp * panel_bytes + v * Words::kVecBytes);
  if constexpr (kHalf) w[kFull] = Isa::load_twice(b + kFull * panel_bytes);
  [[maybe_unused]] decltype(Words::bcast_a(at(0))) before;
#pragma GCC unroll 32
  for (int i = 0; i < MR; ++i) {
    const auto a = Words::bcast_a(at(i));
#pragma GCC unroll 16
    for (int j = 0; j < kFull * kPV; ++j) Words::dot(acc[i][j], a, w[j]);
    if constexpr (kHalf) {
      if (i % 2 == 1)
        Words::dot(acc[i - 1][kFull], Isa::halves(before, a), w[kFull]);
      else if (i + 1 == MR)
        Words::dot(acc[i][kFull], a, w[kFull]);
      before = a;
    }
  }
}

// acc[i][jp, v] += the products of row i, `bytes` of it (kBytes a step), and panel jp of B. Panels
// lie panel_bytes apart. Returns the end of the first panel's run. Call between two keep_all: g++
// 12 sends accumulators through the stack otherwise. kAhead: what lies `ahead` bytes behind the
// first panel is brought nearer, a line a step.
template <class Isa, class Words, int MR, int NP, bool kAhead = false, bool kHalf = false,
          int kBytes = 4>
[[gnu::always_inline]] inline const std::int8_t* multiply_run(
    typename Isa::I32 (&acc)[MR][NP * Isa::kPanelVecs], const std::uint8_t* const (&p)[MR],
    const std::int8_t* b, std::ptrdiff_t panel_bytes, std::int64_t bytes,
    std::ptrdiff_t ahead = 0) noexcept {
#pragma GCC unroll 1
  for (std::int64_t k = 0; k < bytes; k += kBytes) {
    if constexpr (kAhead) __builtin_prefetch(b + ahead, 0, 2);
    multiply_step<Isa, Words, MR, NP, kHalf>(
        acc, [&](int i) { return p[i] + k; }, b, panel_bytes);
    b += Isa::kPanelVecs * Words::kVecBytes;
  }
  return b;
}

}  // namespace intact
