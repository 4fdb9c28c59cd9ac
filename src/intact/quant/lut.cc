#include "quant/lut.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/round.h"

namespace intact {
namespace {

void check_8_bit(const Affine& a) {
  INTACT_CHECK(a.codes.lo >= -128 && a.codes.hi <= 255 && a.codes.hi - a.codes.lo <= 255 &&
                   (a.codes.lo >= 0 || a.codes.hi <= 127),
               "codes [{}, {}] do not fit 8 bits", a.codes.lo, a.codes.hi);
}

}  // namespace

Lut build_lut(const Affine& x, const Affine& y, const std::function<double(double)>& f) {
  check_8_bit(x);
  check_8_bit(y);
  Lut lut{};
  for (int byte = 0; byte < 256; ++byte) {
    const int raw = x.codes.lo < 0 && byte > 127 ? byte - 256 : byte;
    const int q = std::clamp(raw, x.codes.lo, x.codes.hi);
    const double real = static_cast<double>(x.scale) * (q - x.zero_point);
    double steps = f(real) / static_cast<double>(y.scale);
    if (std::isnan(steps)) steps = 0.0;
    // Clamped before rounding, so that infinities never reach an integer.
    steps = std::clamp(steps, static_cast<double>(y.codes.lo - y.zero_point),
                       static_cast<double>(y.codes.hi - y.zero_point));
    const int code = static_cast<int>(round_half_even(steps)) + y.zero_point;
    lut[static_cast<std::size_t>(byte)] = static_cast<std::uint8_t>(code);
  }
  return lut;
}

Lut requantize_lut(const Affine& x, const Affine& y) {
  return build_lut(x, y, [](double v) { return v; });
}

Lut compose(const Lut& outer, const Lut& inner) noexcept {
  Lut lut{};
  for (std::size_t q = 0; q < lut.size(); ++q) lut[q] = outer[inner[q]];
  return lut;
}

void apply_lut(std::span<const std::uint8_t> q, const Lut& lut, std::span<std::uint8_t> y) {
  INTACT_CHECK(q.size() == y.size(), "a table over {} codes into {}", q.size(), y.size());
  for (std::size_t i = 0; i < q.size(); ++i) y[i] = lut[q[i]];
}

}  // namespace intact
