// f32_scalar.h: the float vocabulary on one lane; it defines what each word means on every ISA.
//
// V is a vector of kLanes floats, I of kLanes int32, M a mask of kLanes lanes. A word gives the
// same bits per lane everywhere, but for the payload and sign of a NaN: kernels pass their results
// through canon() before they store them. `n` of a tail is in [0, kLanes].
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kernels/cpu_features.h"

namespace intact {

struct ScalarF32 {
  using V = float;
  using I = std::int32_t;
  using M = bool;
  static constexpr int kLanes = 1;
  static constexpr IsaLevel kIsa = IsaLevel::kScalar;

  [[gnu::always_inline]] static V load(const float* p) noexcept { return *p; }
  [[gnu::always_inline]] static void store(float* p, V v) noexcept { *p = v; }
  // Lanes n and beyond are `fill` (zero without one); nothing past p[n - 1] is read.
  [[gnu::always_inline]] static V load_tail(const float* p, int n) noexcept {
    return n > 0 ? *p : 0.0f;
  }
  [[gnu::always_inline]] static V load_tail(const float* p, int n, V fill) noexcept {
    return n > 0 ? *p : fill;
  }
  [[gnu::always_inline]] static void store_tail(float* p, V v, int n) noexcept {
    if (n > 0) *p = v;
  }
  [[gnu::always_inline]] static V set(float x) noexcept { return x; }
  // *p in every lane.
  [[gnu::always_inline]] static V broadcast(const float* p) noexcept { return *p; }

  [[gnu::always_inline]] static V add(V a, V b) noexcept { return a + b; }
  [[gnu::always_inline]] static V sub(V a, V b) noexcept { return a - b; }
  [[gnu::always_inline]] static V mul(V a, V b) noexcept { return a * b; }
  [[gnu::always_inline]] static V div(V a, V b) noexcept { return a / b; }
  [[gnu::always_inline]] static V sqrt(V a) noexcept { return __builtin_sqrtf(a); }
  [[gnu::always_inline]] static V fma(V a, V b, V c) noexcept {
    return std::fma(a, b, c);
  }  // a b + c
  [[gnu::always_inline]] static V fnma(V a, V b, V c) noexcept {
    return std::fma(-a, b, c);
  }  // c - a b
  [[gnu::always_inline]] static V max(V a, V b) noexcept {
    return a > b ? a : b;
  }  // b if either is NaN
  [[gnu::always_inline]] static V min(V a, V b) noexcept {
    return a < b ? a : b;
  }  // b if either is NaN
  [[gnu::always_inline]] static V floor(V a) noexcept { return std::floor(a); }
  [[gnu::always_inline]] static V ceil(V a) noexcept { return std::ceil(a); }
  [[gnu::always_inline]] static V round(V a) noexcept {
    return std::nearbyint(a);
  }  // Half to even.

  [[gnu::always_inline]] static M lt(V a, V b) noexcept { return a < b; }
  [[gnu::always_inline]] static M le(V a, V b) noexcept { return a <= b; }
  [[gnu::always_inline]] static M eq(V a, V b) noexcept { return a == b; }
  [[gnu::always_inline]] static M is_nan(V a) noexcept { return a != a; }
  [[gnu::always_inline]] static M either(M a, M b) noexcept { return a || b; }
  [[gnu::always_inline]] static bool any(M a) noexcept { return a; }  // Of those with look_up.
  [[gnu::always_inline]] static V select(M m, V yes, V no) noexcept { return m ? yes : no; }

  [[gnu::always_inline]] static I bits(V a) noexcept { return std::bit_cast<I>(a); }
  [[gnu::always_inline]] static V from_bits(I a) noexcept { return std::bit_cast<V>(a); }
  [[gnu::always_inline]] static I iset(std::int32_t a) noexcept { return a; }
  [[gnu::always_inline]] static I iadd(I a, I b) noexcept {  // Modulo 2^32.
    return static_cast<I>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b));
  }
  [[gnu::always_inline]] static I isub(I a, I b) noexcept {
    return static_cast<I>(static_cast<std::uint32_t>(a) - static_cast<std::uint32_t>(b));
  }
  [[gnu::always_inline]] static I iand(I a, I b) noexcept { return a & b; }
  [[gnu::always_inline]] static I ior(I a, I b) noexcept { return a | b; }
  template <int kShift>
  [[gnu::always_inline]] static I shl(I a) noexcept {
    return static_cast<I>(static_cast<std::uint32_t>(a) << kShift);
  }
  template <int kShift>
  [[gnu::always_inline]] static I sar(I a) noexcept {
    return a >> kShift;
  }
  [[gnu::always_inline]] static V to_float(I a) noexcept {
    return static_cast<float>(a);
  }  // Half to even.
  // Entry i mod 32 of a table, only where the machine has it.
  using Table = const float*;
  [[gnu::always_inline]] static Table table(const float* t) noexcept { return t; }
  [[gnu::always_inline]] static V look_up(Table t, I i) noexcept { return t[i & 31]; }

  // D is kLanes doubles: sums that must not lose what floats would.
  using D = double;
  [[gnu::always_inline]] static D dzero() noexcept { return 0.0; }
  [[gnu::always_inline]] static D dadd(D a, V b) noexcept { return a + static_cast<double>(b); }
  [[gnu::always_inline]] static void dstore(double* p, D a) noexcept { *p = a; }

  // Lane 0 in every lane.
  [[gnu::always_inline]] static V first_lane(V a) noexcept { return a; }
  // Where there are lanes, also upper<w>(a): lanes [w, 2 w) of a in lanes [0, w), the others
  // whatever they are. Where the machine has it, also scale(a, n): a 2^n for integers n, rounded
  // once.

  // Hides a value from the optimizer, so that it neither spills nor hoists around it.
  [[gnu::always_inline]] static void barrier(V& v) noexcept {
#if defined(__x86_64__)
    asm volatile("" : "+x"(v));
#elif defined(__aarch64__)
    asm volatile("" : "+w"(v));
#else
    asm volatile("" : "+m"(v));
#endif
  }
};

}  // namespace intact
