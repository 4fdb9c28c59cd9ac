// half.h: float16 and bfloat16 as storage. Conversions round to nearest, ties to even.
#pragma once

#include <cstdint>

namespace intact {

float float_from_half(std::uint16_t bits) noexcept;
std::uint16_t half_from_float(float x) noexcept;  // Overflow gives infinity; NaN stays NaN.
float float_from_bfloat16(std::uint16_t bits) noexcept;
std::uint16_t bfloat16_from_float(float x) noexcept;

}  // namespace intact
