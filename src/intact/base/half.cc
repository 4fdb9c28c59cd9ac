#include "base/half.h"

#include <bit>

namespace intact {

float float_from_half(std::uint16_t bits) noexcept {
  const std::uint32_t sign = (bits & 0x8000u) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1Fu;
  const std::uint32_t fraction = bits & 0x3FFu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | (fraction << 13));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (fraction << 13));
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
  return sign != 0 ? -magnitude : magnitude;
}

std::uint16_t half_from_float(float x) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<std::uint16_t>(sign | 0x7E00u);
  if (magnitude >= 0x477FF000u) return static_cast<std::uint16_t>(sign | 0x7C00u);
  const auto round_shift = [](std::uint32_t value, std::uint32_t shift) {
    const std::uint32_t half = 1u << (shift - 1);
    return (value + half - 1u + ((value >> shift) & 1u)) >> shift;
  };
  if (magnitude >= 0x38800000u)  // Normal: rebias the exponent, round 13 bits away.
    return static_cast<std::uint16_t>(sign | round_shift(magnitude - 0x38000000u, 13));
  if (magnitude < 0x33000000u) return static_cast<std::uint16_t>(sign);
  const std::uint32_t shift = 126u - (magnitude >> 23);
  return static_cast<std::uint16_t>(sign | round_shift((magnitude & 0x7FFFFFu) | 0x800000u, shift));
}

float float_from_bfloat16(std::uint16_t bits) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

std::uint16_t bfloat16_from_float(float x) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace intact
