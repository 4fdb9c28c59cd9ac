#include "kernels/exact_inverse.h"

#include <bit>
#include <cmath>
#include <cstdint>

namespace intact {
namespace {

// Half to even for |x| < 2^22; every caller has set round-to-nearest (base/fp_env.h).
float rounded(float x) noexcept {
  volatile float shifted = x + 0x1.8p23f;
  return shifted - 0x1.8p23f;
}

}  // namespace

float exact_inverse(float scale) noexcept {
  if (!(scale >= 0x1p-100f && scale <= 0x1p100f)) return 0.0f;
  const float inverse = 1.0f / scale;
  // A quotient within one unit of a tie has its x within three.
  constexpr std::uint32_t kNear = 3;
  for (int k = 0; k < 256; ++k) {  // Both ways are odd functions of x.
    const auto tie = std::bit_cast<std::uint32_t>((static_cast<float>(k) + 0.5f) * scale);
    for (std::uint32_t bits = tie - kNear; bits <= tie + kNear; ++bits) {
      const auto x = std::bit_cast<float>(bits);
      const float q = x * inverse;
      const float corrected = std::fma(std::fma(-q, scale, x), inverse, q);
      if (rounded(corrected) != rounded(x / scale)) return 0.0f;
    }
  }
  return inverse;
}

}  // namespace intact
