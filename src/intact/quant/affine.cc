#include "quant/affine.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/round.h"

namespace intact {
namespace {

// Adding and subtracting 1.5 * 2^23 rounds |x| <= 2^22 half to even in the current (nearest) mode,
// and unlike std::nearbyint every instruction set vectorizes it. Codes have at most 17 bits.
constexpr float kRoundMagic = 0x1.8p23f;

Status check_codes(CodeRange codes) {
  if (codes.lo >= codes.hi || codes.lo < -32768 || codes.hi > 65535) {
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("codes [{}, {}] are not a range of at most 16 bits", codes.lo, codes.hi));
  }
  return {};
}

Status check_scale(float scale) {
  if (!std::isnormal(scale) || scale < 0.0f) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("scale {} is not a positive normal float; the range of the values is "
                            "too small or too large to quantize, keep the tensor in float",
                            static_cast<double>(scale)));
  }
  return {};
}

Status check_ends(float min, float max) {
  if (!std::isfinite(min) || !std::isfinite(max) || min > max) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("[{}, {}] is not a finite range", static_cast<double>(min),
                            static_cast<double>(max)));
  }
  return {};
}

template <class T>
void check_fits(const Affine& a, std::size_t n, std::size_t m) {
  INTACT_CHECK(n == m, "quantize: {} values, {} codes", n, m);
  INTACT_CHECK(
      a.codes.lo >= std::numeric_limits<T>::min() && a.codes.hi <= std::numeric_limits<T>::max(),
      "codes [{}, {}] do not fit the element type", a.codes.lo, a.codes.hi);
}

// The limits of rne(x / scale) in code steps from the zero point. Clamping before rounding equals
// clamping after it, because the limits are integers.
struct Limits {
  explicit Limits(const Affine& a)
      : lo(static_cast<float>(a.codes.lo - a.zero_point)),
        hi(static_cast<float>(a.codes.hi - a.zero_point)) {}
  float lo;
  float hi;
};

inline float steps_of(float x, float scale, const Limits& limits) noexcept {
  float t = x / scale;
  t = t == t ? t : 0.0f;  // NaN gives the zero point, on every instruction set.
  t = t < limits.lo ? limits.lo : t;
  t = t > limits.hi ? limits.hi : t;
  return (t + kRoundMagic) - kRoundMagic;
}

}  // namespace

Result<Affine> choose_affine(float min, float max, CodeRange codes) {
  INTACT_TRY(check_codes(codes));
  INTACT_TRY(check_ends(min, max));
  const double lo = std::min(static_cast<double>(min), 0.0);
  const double hi = std::max(static_cast<double>(max), 0.0);
  if (lo == hi) return Affine{1.0f, std::clamp(0, codes.lo, codes.hi), codes};
  const auto scale = static_cast<float>((hi - lo) / (codes.hi - codes.lo));
  INTACT_TRY(check_scale(scale));
  const double zero = round_half_even(codes.lo - lo / static_cast<double>(scale));
  return Affine{scale,
                static_cast<std::int32_t>(
                    std::clamp(zero, static_cast<double>(codes.lo), static_cast<double>(codes.hi))),
                codes};
}

Result<Affine> choose_symmetric(float min, float max, CodeRange codes) {
  INTACT_TRY(check_codes(codes));
  INTACT_TRY(check_ends(min, max));
  const std::int32_t zero = codes.lo < 0 ? 0 : (codes.lo + codes.hi + 1) / 2;
  const double top =
      std::max(std::fabs(static_cast<double>(min)), std::fabs(static_cast<double>(max)));
  if (top == 0.0) return Affine{1.0f, zero, codes};
  const auto scale = static_cast<float>(top / (codes.hi - zero));
  INTACT_TRY(check_scale(scale));
  return Affine{scale, zero, codes};
}

Status check_affine(const Affine& a) {
  INTACT_TRY(check_codes(a.codes));
  INTACT_TRY(check_scale(a.scale));
  if (a.zero_point < a.codes.lo || a.zero_point > a.codes.hi) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("zero point {} is outside of [{}, {}]",
                                                         a.zero_point, a.codes.lo, a.codes.hi));
  }
  return {};
}

std::int32_t encode(float x, const Affine& a) noexcept {
  return static_cast<std::int32_t>(steps_of(x, a.scale, Limits(a))) + a.zero_point;
}

float decode(std::int32_t q, const Affine& a) noexcept {
  return a.scale * static_cast<float>(q - a.zero_point);
}

template <Code T>
void quantize(std::span<const float> x, const Affine& a, std::span<T> q) {
  check_fits<T>(a, x.size(), q.size());
  const Limits limits(a);
  const float scale = a.scale;
  const std::int32_t zero = a.zero_point;
  const float* from = x.data();
  T* to = q.data();
  for (std::size_t i = 0, n = x.size(); i < n; ++i) {
    to[i] = static_cast<T>(static_cast<std::int32_t>(steps_of(from[i], scale, limits)) + zero);
  }
}

template <Code T>
void dequantize(std::span<const T> q, const Affine& a, std::span<float> x) {
  INTACT_CHECK(q.size() == x.size(), "dequantize: {} codes, {} values", q.size(), x.size());
  const float scale = a.scale;
  const std::int32_t zero = a.zero_point;
  const T* from = q.data();
  float* to = x.data();
  for (std::size_t i = 0, n = q.size(); i < n; ++i) {
    to[i] = scale * static_cast<float>(static_cast<std::int32_t>(from[i]) - zero);
  }
}

void fake_quantize(std::span<const float> x, const Affine& a, std::span<float> y) {
  INTACT_CHECK(x.size() == y.size(), "fake_quantize: {} values into {}", x.size(), y.size());
  const Limits limits(a);
  const float scale = a.scale;
  for (std::size_t i = 0, n = x.size(); i < n; ++i) {
    // + 0 turns the -0 of a rounded tiny negative into the +0 that a decoded code is.
    y[i] = scale * (steps_of(x[i], scale, limits) + 0.0f);
  }
}

template void quantize(std::span<const float>, const Affine&, std::span<std::int8_t>);
template void quantize(std::span<const float>, const Affine&, std::span<std::uint8_t>);
template void quantize(std::span<const float>, const Affine&, std::span<std::int16_t>);
template void quantize(std::span<const float>, const Affine&, std::span<std::uint16_t>);
template void dequantize(std::span<const std::int8_t>, const Affine&, std::span<float>);
template void dequantize(std::span<const std::uint8_t>, const Affine&, std::span<float>);
template void dequantize(std::span<const std::int16_t>, const Affine&, std::span<float>);
template void dequantize(std::span<const std::uint16_t>, const Affine&, std::span<float>);

SeedForm seed_form(const Affine& a) noexcept {
  const double scale = static_cast<double>(a.scale);
  return {1.0 / scale, scale * (a.codes.lo - a.zero_point)};
}

Result<Affine> affine_from_seed(const SeedForm& seed, CodeRange codes) {
  INTACT_TRY(check_codes(codes));
  if (!std::isfinite(seed.gain) || seed.gain <= 0.0 || !std::isfinite(seed.min)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("S = {} and min = {} do not define a quantization; S must be positive "
                            "and both finite",
                            seed.gain, seed.min));
  }
  const auto scale = static_cast<float>(1.0 / seed.gain);
  INTACT_TRY(check_scale(scale));
  const double zero = codes.lo - round_half_even(seed.min / static_cast<double>(scale));
  return Affine{scale,
                static_cast<std::int32_t>(
                    std::clamp(zero, static_cast<double>(codes.lo), static_cast<double>(codes.hi))),
                codes};
}

void normalize(std::span<const float> x, float min, float max, std::span<float> y) {
  INTACT_CHECK(x.size() == y.size(), "normalize: {} values into {}", x.size(), y.size());
  const double span = static_cast<double>(max) - static_cast<double>(min);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double d = static_cast<double>(x[i]) - static_cast<double>(min);
    y[i] = span == 0.0 ? 0.0f : static_cast<float>(d / span);
  }
}

}  // namespace intact
