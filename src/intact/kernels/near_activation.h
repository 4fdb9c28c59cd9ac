// near_activation.h: activations to within a known distance, for codes that need no more.
//
// Rounding to a code rarely asks for all bits of a real: unless the real lies close to a tie, one
// that is close to it gives the same code. gelu, silu and softplus are a ramp and an even rest that
// fades, which a cubic a segment follows:
//
//   g(x) = max(x, 0) - r(|x|),   v = 1 + step min(|x|, limit) in [1, 16) (1) r(|x|) ~ c[0][s] + v
//   (c[1][s] + v c[2][s]),   s = bits(v) >> 20, its low five bits           (2)
//
// s is the octave of v and an eighth of it, so segments are finest near 0, where r bends. What
// (1) and (2) give in float, in this order and with one fma a product, is y with
//
//   |y - g(x)| <= kError + 2^-23 |g(x)|   for every finite x (3)
//
// where g is the float function of unary_f32.inl.h; near_activation_test tries them all.
#pragma once

#include "kernels/elementwise_f32.h"

namespace intact {

struct NearActivation {
  static constexpr float kError = 0x1.2p-20f;
  static constexpr int kSegments = 32;

  float step;
  float limit;
  alignas(64) float c[4][kSegments];
};

// Null for what has no such form, or is as short itself.
const NearActivation* near_activation(UnaryOp op);

// (1) and (2) on vectors; S has look_up.
template <class S>
struct NearActivationOn {
  using V = typename S::V;
  using Table = typename S::Table;

  V step, limit;
  Table c[4];
  explicit NearActivationOn(const NearActivation& g) noexcept
      : step(S::set(g.step)),
        limit(S::set(g.limit)),
        c{S::table(g.c[0]), S::table(g.c[1]), S::table(g.c[2]), S::table(g.c[3])} {}

  [[gnu::always_inline]] V operator()(V x) const noexcept {
    const V size = S::from_bits(S::iand(S::bits(x), S::iset(0x7fffffff)));
    const V v = S::fma(S::min(limit, size), step, S::set(1.0f));
    const auto s = S::template sar<20>(S::bits(v));
    V r = S::fma(S::look_up(c[3], s), v, S::look_up(c[2], s));
    r = S::fma(r, v, S::look_up(c[1], s));
    return S::sub(S::max(S::set(0.0f), x), S::fma(r, v, S::look_up(c[0], s)));
  }
};

}  // namespace intact
