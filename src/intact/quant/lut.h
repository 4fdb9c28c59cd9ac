// lut.h: 8-bit to 8-bit functions as tables, exact.
//
//   table[q] = clamp(rne(f(s_x (q - z_x)) / s_y) + z_y, lo_y, hi_y) (10)
//
// evaluated in double, where s_x (q - z_x) is exact. f = NaN gives z_y, infinities saturate. Tables
// are indexed and filled by the byte of a code (int8 -1 is byte 255), so a kernel needs no sign.
// Bytes that are no code of x get the entry of the nearest code.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>

#include "quant/affine.h"

namespace intact {

using Lut = std::array<std::uint8_t, 256>;

// Returns (10). Requires 8-bit (or narrower) codes on both sides.
Lut build_lut(const Affine& x, const Affine& y, const std::function<double(double)>& f);

// Returns the table that changes codes of x into codes of y: (10) with f(v) = v.
Lut requantize_lut(const Affine& x, const Affine& y);

// Returns the table q -> outer[inner[q]].
Lut compose(const Lut& outer, const Lut& inner) noexcept;

// Writes lut[q] of each q. q and y may be the same memory.
void apply_lut(std::span<const std::uint8_t> q, const Lut& lut, std::span<std::uint8_t> y);

}  // namespace intact
