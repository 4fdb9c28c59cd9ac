// round.h: the one rounding rule of the project: to nearest, ties to even.
//
// Correct whatever the caller's rounding mode: it is exact arithmetic on the value, not a use of
// the current mode.
#pragma once

#include <cmath>

namespace intact {

// Returns the integer nearest to x; of two equally near, the even one. NaN and infinities pass.
template <class Float>
[[nodiscard]] inline Float round_half_even(Float x) noexcept {
  const Float down = std::floor(x);
  const Float diff = x - down;  // Exact: both are multiples of x's last bit.
  if (diff < Float(0.5)) return down;
  if (diff > Float(0.5)) return down + Float(1);
  if (diff == Float(0.5)) return std::fmod(down, Float(2)) == Float(0) ? down : down + Float(1);
  return x;
}

}  // namespace intact
