// peak_dot.inl.h: peak_dot.h over an ISA vocabulary.
#pragma once

#include <cstdint>

#include "kernels/gemm_tile.inl.h"
#include "kernels/peak_dot.h"

namespace intact {

template <class Isa>
struct PeakDot {
  static constexpr int kRows = Isa::kTileM[Isa::kMaxPanels];
  static constexpr int kVecs = Isa::kMaxPanels * Isa::kPanelVecs;
  static constexpr std::int64_t kMacs = std::int64_t{kRows} * kVecs * Isa::kLanes * Isa::kStepK;

  static std::int32_t run(std::int64_t repeat) {
    typename Isa::I32 acc[kRows][kVecs];
    alignas(64) std::int8_t weights[kVecs * 64] = {1, -2, 3, -4};
    alignas(64) std::uint8_t a[64] = {1, 2, 3, 4};
    // The operands are anything, for all that the compiler knows: no product can be reused.
    const auto forget = [&] { asm volatile("" : : "r"(a), "r"(weights) : "memory"); };
#pragma GCC unroll 32
    for (auto& row : acc)
#pragma GCC unroll 16
      for (auto& x : row) x = Isa::set_i32(0);
    keep_all<Isa>(acc);
    forget();
    decltype(Isa::load_w(weights)) w[kVecs];
#pragma GCC unroll 16
    for (int j = 0; j < kVecs; ++j) w[j] = Isa::load_w(weights + 64 * j);
#pragma GCC unroll 1
    for (std::int64_t i = 0; i < repeat; ++i) {
#pragma GCC unroll 32
      for (auto& row : acc) {
        forget();
        const auto x = Isa::bcast_a(a);
#pragma GCC unroll 16
        for (int j = 0; j < kVecs; ++j) Isa::dot(row[j], x, w[j]);
      }
    }
    keep_all<Isa>(acc);
    alignas(64) std::int32_t out[16];
    Isa::store_i32(out, acc[0][0]);
    return out[0];
  }
};

}  // namespace intact
