#include "quant/short_scale.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

namespace intact {
namespace {

constexpr std::array<float, 1> kSumMantissas{1.0f};
constexpr std::array<float, 2> kActivationMantissas{1.0f, 1.5f};
constexpr std::array<float, 6> kWeightMantissas{1.0f, 1.125f, 1.25f, 1.375f, 1.5f, 1.875f};

std::span<const float> mantissas(ScaleSet set) {
  if (set == ScaleSet::kSum) return kSumMantissas;
  if (set == ScaleSet::kActivation) return kActivationMantissas;
  return kWeightMantissas;
}

}  // namespace

float scale_above(float scale, ScaleSet set) {
  if (set == ScaleSet::kAny) return scale;
  const int exponent = std::ilogb(scale);
  for (const float m : mantissas(set))
    if (const float s = std::ldexp(m, exponent); s >= scale) return s;
  return std::ldexp(1.0f, exponent + 1);
}

float scale_below(float scale, ScaleSet set) {
  if (set == ScaleSet::kAny) return scale;
  const int exponent = std::ilogb(scale);
  float below = std::ldexp(1.0f, exponent);
  for (const float m : mantissas(set))
    if (const float s = std::ldexp(m, exponent); s <= scale) below = s;
  return below;
}

float scale_near(float scale, ScaleSet set) {
  const float above = scale_above(scale, set), below = scale_below(scale, set);
  const double s = static_cast<double>(scale);
  return static_cast<double>(above) / s < s / static_cast<double>(below) ? above : below;
}

}  // namespace intact
