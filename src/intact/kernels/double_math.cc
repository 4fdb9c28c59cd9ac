#include "kernels/double_math.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>

namespace intact::dmath {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// A pair hi + lo, |lo| <= ulp(hi) / 2: about 106 bits.
struct Pair {
  double hi;
  double lo;
};

constexpr Pair kLn2{0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};
constexpr Pair kHalfPi{0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54};
constexpr Pair kTwoOverRootPi{0x1.20dd750429b6dp+0, 0x1.1ae3a914fed80p-56};
constexpr Pair kTwoThirds{0x1.5555555555555p-1, 0x1.5555555555555p-55};

Pair two_sum(double a, double b) {
  const double s = a + b;
  const double t = s - a;
  return {s, (a - (s - t)) + (b - t)};
}
Pair quick_sum(double a, double b) {  // |a| >= |b|.
  const double s = a + b;
  return {s, b - (s - a)};
}
Pair two_product(double a, double b) {
  const double p = a * b;
  return {p, std::fma(a, b, -p)};
}
Pair operator+(Pair a, Pair b) {
  const Pair s = two_sum(a.hi, b.hi), t = two_sum(a.lo, b.lo);
  const Pair u = quick_sum(s.hi, s.lo + t.hi);
  return quick_sum(u.hi, u.lo + t.lo);
}
Pair operator*(Pair a, Pair b) {
  const Pair p = two_product(a.hi, b.hi);
  return quick_sum(p.hi, p.lo + (a.hi * b.lo + a.lo * b.hi));
}
Pair operator*(Pair a, double b) {
  const Pair p = two_product(a.hi, b);
  return quick_sum(p.hi, std::fma(a.lo, b, p.lo));
}
Pair operator/(Pair a, double b) {
  const double q = a.hi / b;
  return quick_sum(q, (std::fma(-q, b, a.hi) + a.lo) / b);
}

// c[0] + c[1] x + ...
template <int kTerms>
double poly(const double (&c)[kTerms], double x) {
  double p = c[kTerms - 1];
  for (int i = kTerms - 2; i >= 0; --i) p = std::fma(p, x, c[i]);
  return p;
}

double pow2(int n) {  // n in [-1022, 1023].
  return std::bit_cast<double>(static_cast<std::uint64_t>(n + 1023) << 52);
}
double scale(double x, int n) { return x * pow2(n / 2) * pow2(n - n / 2); }

// x + lo = n ln 2 + r; returns exp(r) - 1, |r| <= 0.35, by Taylor's series (error 2^-57).
struct Expm1 {
  double value;
  int n;
};
Expm1 expm1_reduced(double x, double lo) {
  constexpr double kQ[] = {1.0 / 2,
                           1.0 / 6,
                           1.0 / 24,
                           1.0 / 120,
                           1.0 / 720,
                           1.0 / 5040,
                           1.0 / 40320,
                           1.0 / 362880,
                           1.0 / 3628800,
                           1.0 / 39916800,
                           1.0 / 479001600,
                           1.0 / 6227020800.0,
                           1.0 / 87178291200.0};
  constexpr double kMagic = 0x1.8p52;
  const double n = std::fma(x, 0x1.71547652b82fep+0, kMagic) - kMagic;
  const double r = std::fma(-n, kLn2.hi, x);
  const Pair s = quick_sum(r, std::fma(-n, kLn2.lo, lo));
  return {s.hi + std::fma(s.hi * s.hi, poly(kQ, s.hi), std::fma(s.hi, s.lo, s.lo)),
          static_cast<int>(n)};
}
double exp_pair(Pair x) {
  if (!(x.hi < 1000.0)) return kInf;
  if (x.hi < -1000.0) return 0.0;
  const Expm1 e = expm1_reduced(x.hi, x.lo);
  return scale(1.0 + e.value, e.n);
}

// log(x) for a positive finite x.
Pair log_pair(double x) {
  int e = 0;
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    e = -54;
  }
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const auto root = std::bit_cast<std::uint64_t>(0x1.6a09e667f3bcdp-1);  // sqrt(1/2)
  const auto shift = static_cast<std::int64_t>(bits - root) >> 52;
  e += static_cast<int>(shift);
  const double f = std::bit_cast<double>(bits - (static_cast<std::uint64_t>(shift) << 52)) - 1.0;
  // log(1 + f) = 2 s + 2/3 s^3 + 2/5 s^5 + ..., s = f / (2 + f), |s| <= 0.172.
  const Pair t = two_sum(2.0, f);
  const double q = f / t.hi;
  const Pair s = quick_sum(q, (std::fma(-q, t.hi, f) - q * t.lo) / t.hi);
  const Pair z = s * s;
  constexpr double kR[] = {2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11, 2.0 / 13, 2.0 / 15,
                           2.0 / 17, 2.0 / 19, 2.0 / 21, 2.0 / 23, 2.0 / 25, 2.0 / 27};
  const Pair cubic = s * z * kTwoThirds;
  const double rest = s.hi * z.hi * z.hi * poly(kR, z.hi);
  return kLn2 * static_cast<double>(e) + (Pair{2.0 * s.hi, 2.0 * s.lo} + (cubic + Pair{rest, 0.0}));
}

// Bits of 2 / pi behind the binary point, most significant first.
constexpr std::uint64_t kTwoOverPi[20] = {
    0xa2f9836e4e441529u, 0xfc2757d1f534ddc0u, 0xdb6295993c439041u, 0xfe5163abdebbc561u,
    0xb7246e3a424dd2e0u, 0x06492eea09d1921cu, 0xfe1deb1cb129a73eu, 0xe88235f52ebb4484u,
    0xe99c7026b45f7e41u, 0x3991d639835339f4u, 0x9c845f8bbdf9283bu, 0x1ff897ffde05980fu,
    0xef2f118b5a0a6d1fu, 0x6d367ecf27cb09b7u, 0x4f463f669e5fea2du, 0x7527bac7ebe5f17bu,
    0x3d0739f78a5292eau, 0x6bfb5fb11f8d5d08u, 0x56033046fc7b6babu, 0xf0cfbc209af4361du};

// 64 bits of 2 / pi, the first of weight 2^-first; bits at first <= 0 are zero.
std::uint64_t two_over_pi_bits(int first) {
  std::uint64_t bits = 0;
  for (int i = 0; i < 64; ++i) {
    const int at = first - 1 + i;
    if (at >= 0 && at < 1280) bits |= (kTwoOverPi[at / 64] >> (63 - at % 64) & 1u) << (63 - i);
  }
  return bits;
}

struct Quadrant {
  Pair r;
  int k;  // Modulo 4.
};

// x = k pi / 2 + r, |r| <= pi / 4, for any finite x > pi / 4. x = m 2^e with an integer m; bits of
// 2 / pi whose product with 2^e is a multiple of 4 do not matter, and 192 bits from there on leave
// an error of 2^-137, where no double comes nearer to a multiple of pi / 2 than 2^-62.
Quadrant reduce_half_pi(double x) {
  __extension__ typedef unsigned __int128 Wide;
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const int e = static_cast<int>(bits >> 52) - 1023 - 52;
  const std::uint64_t m = (bits & ((std::uint64_t{1} << 52) - 1)) | std::uint64_t{1} << 52;
  // product = m g modulo 2^192, in units of 2^-190.
  std::uint64_t product[3];
  Wide carry = 0;
  for (int i = 2; i >= 0; --i) {
    carry += static_cast<Wide>(m) * two_over_pi_bits(e - 1 + 64 * i);
    product[i] = static_cast<std::uint64_t>(carry);
    carry >>= 64;
  }
  int k = static_cast<int>(product[0] >> 62);
  const bool up = (product[0] >> 61 & 1u) != 0;  // Fraction >= 1/2.
  product[0] &= (std::uint64_t{1} << 62) - 1;
  Pair fraction{0.0, 0.0};
  if (up) fraction.hi = -1.0, k = (k + 1) & 3;
  double weight = 0x1p-30;  // Of the low bit of the first half word.
  for (const std::uint64_t word : product) {
    for (const std::uint64_t half : {word >> 32, word & 0xffffffffu}) {
      fraction = fraction + Pair{static_cast<double>(half) * weight, 0.0};
      weight *= 0x1p-32;
    }
  }
  return {fraction * kHalfPi, k};
}

double sin_kernel(Pair r) {
  constexpr double kS[] = {-1.0 / 6,
                           1.0 / 120,
                           -1.0 / 5040,
                           1.0 / 362880,
                           -1.0 / 39916800,
                           1.0 / 6227020800.0,
                           -1.0 / 1307674368000.0,
                           1.0 / 355687428096000.0};
  const double z = r.hi * r.hi;
  return r.hi + std::fma(r.hi * z, poly(kS, z), r.lo * (1.0 - 0.5 * z));
}
double cos_kernel(Pair r) {
  constexpr double kC[] = {1.0 / 24,
                           -1.0 / 720,
                           1.0 / 40320,
                           -1.0 / 3628800,
                           1.0 / 479001600,
                           -1.0 / 87178291200.0,
                           1.0 / 20922789888000.0,
                           -1.0 / 6402373705728000.0};
  const double z = r.hi * r.hi;
  const double half = 0.5 * z;
  const double one = 1.0 - half;
  return one + (((1.0 - one) - half) + std::fma(z * z, poly(kC, z), -r.hi * r.lo));
}
// sin(x + shift pi / 2) for a finite x >= 0.
double sin_shifted(double x, int shift) {
  Quadrant q{{x, 0.0}, 0};
  if (x > 0x1.921fb54442d18p-1) q = reduce_half_pi(x);
  const int k = (q.k + shift) & 3;
  const double y = (k & 1) != 0 ? cos_kernel(q.r) : sin_kernel(q.r);
  return (k & 2) != 0 ? -y : y;
}

bool is_integer(double y) { return std::floor(y) == y; }
bool is_odd(double y) { return is_integer(y) && std::fabs(y) < 0x1p53 && !is_integer(0.5 * y); }

// The cases of x^y that are not exp(y log x) of finite positive x; returns true when `result` holds
// one. x may be negative with an integer y otherwise.
bool pow_special(double x, double y, double& result) {
  const double a = std::fabs(x);
  if (y == 0.0 || x == 1.0) {
    result = 1.0;
  } else if (std::isnan(x) || std::isnan(y)) {
    result = kNan;
  } else if (std::isinf(y)) {
    result = a == 1.0 ? 1.0 : (a > 1.0) == (y > 0.0) ? kInf : 0.0;
  } else if (a == 0.0 || a == kInf) {
    const double magnitude = (a == 0.0) == (y > 0.0) ? 0.0 : kInf;
    result = is_odd(y) ? std::copysign(magnitude, x) : magnitude;
  } else if (x < 0.0 && !is_integer(y)) {
    result = kNan;
  } else {
    return false;
  }
  return true;
}

}  // namespace

double exp(double x) noexcept { return std::isnan(x) ? kNan : exp_pair({x, 0.0}); }

double expm1(double x) noexcept {
  if (std::isnan(x)) return kNan;
  if (x < -50.0) return -1.0;
  if (x > 100.0) return exp(x);
  if (x == 0.0) return x;
  const Expm1 e = expm1_reduced(x, 0.0);
  const double s = pow2(e.n);
  return e.n == 0 ? e.value : std::fma(e.value, s, s - 1.0);
}

double log(double x) noexcept {
  if (std::isnan(x) || x < 0.0) return kNan;
  if (x == 0.0) return -kInf;
  if (x == kInf) return kInf;
  return log_pair(x).hi;
}

double log1p(double x) noexcept {
  if (std::isnan(x) || x < -1.0) return kNan;
  if (x == -1.0) return -kInf;
  if (x == kInf) return kInf;
  if (std::fabs(x) < 0x1p-54) return x;
  const Pair one = two_sum(1.0, x);
  return (log_pair(one.hi) + Pair{one.lo / one.hi, 0.0}).hi;
}

double erf(double x) noexcept {
  if (std::isnan(x)) return kNan;
  const double a = std::fabs(x);
  if (a >= 6.0) return std::copysign(1.0, x);
  if (a < 0x1p-30) return x == 0.0 ? x : (kTwoOverRootPi * x).hi;
  if (a < 3.0) {
    // 2 / sqrt(pi) sum (-1)^n x^(2n + 1) / (n! (2n + 1)); terms reach 2^10 times the sum.
    const Pair square = two_product(a, a);
    Pair term{a, 0.0}, sum{a, 0.0};
    for (int n = 1; term.hi > 0x1p-70 * a; ++n) {
      term = term * square / n;
      const Pair part = term / (2 * n + 1);
      sum = sum + ((n & 1) != 0 ? Pair{-part.hi, -part.lo} : part);
    }
    return std::copysign((sum * kTwoOverRootPi).hi, x);
  }
  // erfc(a) = exp(-a^2) / sqrt(pi) / (a + (1/2) / (a + (2/2) / (a + (3/2) / ...))).
  double fraction = a;
  for (int n = 60; n >= 1; --n) fraction = a + 0.5 * n / fraction;
  return std::copysign(1.0 - exp(-a * a) * (0.5 * kTwoOverRootPi.hi) / fraction, x);
}

double tanh(double x) noexcept {
  if (std::isnan(x)) return kNan;
  const double a = std::fabs(x);
  if (a < 0x1p-28) return x;
  if (a > 22.0) return std::copysign(1.0, x);
  if (a > 0.55) return std::copysign(1.0 - 2.0 / (exp(2.0 * a) + 1.0), x);
  const double t = expm1(2.0 * a);
  return std::copysign(t / (t + 2.0), x);
}

double sigmoid(double x) noexcept {
  if (std::isnan(x)) return kNan;
  const double e = exp(-std::fabs(x));
  const Pair sum = two_sum(1.0, e);
  const double top = x < 0.0 ? e : 1.0;
  const double q = top / sum.hi;
  return q + (std::fma(-q, sum.hi, top) - q * sum.lo) / sum.hi;
}

double pow(double x, double y) noexcept {
  double result;
  if (pow_special(x, y, result)) return result;
  const Pair log_x = log_pair(std::fabs(x));
  double power;
  if (std::fabs(y * log_x.hi) > 1000.0) {
    power = (y > 0.0) == (log_x.hi > 0.0) ? kInf : 0.0;
  } else {
    power = exp_pair(log_x * y);
  }
  return x < 0.0 && is_odd(y) ? -power : power;
}

double sin(double x) noexcept {
  if (!std::isfinite(x)) return kNan;
  return x < 0.0 ? -sin_shifted(-x, 0) : x == 0.0 ? x : sin_shifted(x, 0);
}
double cos(double x) noexcept {
  if (!std::isfinite(x)) return kNan;
  return sin_shifted(std::fabs(x), 1);
}

float sin_f32(float x) noexcept { return static_cast<float>(sin(static_cast<double>(x))); }
float cos_f32(float x) noexcept { return static_cast<float>(cos(static_cast<double>(x))); }

float pow_f32(float x, float y) noexcept {
  if (y == 2.0f && !std::isnan(x)) return x * x;
  return static_cast<float>(pow(static_cast<double>(x), static_cast<double>(y)));
}

}  // namespace intact::dmath
