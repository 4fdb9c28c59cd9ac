// peak.inl.h: the loops of peak.h over the ISA vocabularies.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/peak.h"

namespace intact {

// Enough to cover a latency of five cycles at two words a cycle, and few enough for 16 registers.
inline constexpr int kPeakChains = 12;

template <class Isa>
struct PeakU8S8 {
  static std::int64_t run(std::int64_t rounds) noexcept {
    static constexpr std::uint8_t kA[64] = {1, 2, 3, 4};
    alignas(64) static constexpr std::int8_t kW[64] = {1, -1, 2, -2};
    auto a = Isa::bcast_a(kA);
    const auto w = Isa::load_w(kW);
    typename Isa::I32 acc[kPeakChains];
#pragma GCC unroll 12
    for (auto& x : acc) x = Isa::set_i32(0);
    for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
      for (int c = 0; c < kPeakChains; ++c) {
        // Where dot is several instructions, its product must not be carried out of the loop.
        if constexpr (requires { Isa::keep(a); }) Isa::keep(a);
        Isa::dot(acc[c], a, w);
        Isa::keep(acc[c]);
      }
    }
#pragma GCC unroll 12
    for (int c = 1; c < kPeakChains; ++c) acc[0] = Isa::add(acc[0], acc[c]);
    Isa::keep(acc[0]);
    return rounds * kPeakChains * Isa::kLanes * Isa::kStepK;
  }
};

template <class Isa>
struct PeakF32 {
  static std::int64_t run(std::int64_t rounds) noexcept {
    const auto a = Isa::set(1.0f), b = Isa::set(0.5f);
    typename Isa::V acc[kPeakChains];
#pragma GCC unroll 12
    for (auto& x : acc) x = Isa::set(0.0f);
    for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
      for (int c = 0; c < kPeakChains; ++c) {
        acc[c] = Isa::fma(a, b, acc[c]);
        Isa::barrier(acc[c]);
      }
    }
#pragma GCC unroll 12
    for (int c = 1; c < kPeakChains; ++c) acc[0] = Isa::add(acc[0], acc[c]);
    Isa::barrier(acc[0]);
    return rounds * kPeakChains * Isa::kLanes;
  }
};

}  // namespace intact
