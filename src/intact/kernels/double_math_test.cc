// double_math against long double (64 or 112 bits of mantissa): the bounds of its header.
#include "kernels/double_math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace intact::dmath {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

// |got - want| in units of the last place of want as a double.
double ulps(double got, long double want) {
  const double near = static_cast<double>(want);
  if (std::isinf(near) || got == near) return got == near ? 0.0 : kInf;
  const double ulp = std::max(std::nextafter(std::fabs(near), kInf) - std::fabs(near),
                              std::numeric_limits<double>::denorm_min());
  return static_cast<double>(std::fabs(static_cast<long double>(got) - want) /
                             static_cast<long double>(ulp));
}

struct Case {
  const char* name;
  double (*ours)(double);
  long double (*exact)(long double);
  double lo, hi;
  double bound;
};

long double sigmoid_exact(long double x) { return 1.0L / (1.0L + std::exp(-x)); }

TEST(DoubleMath, StaysWithinItsBounds) {
  const Case cases[] = {
      {"exp", exp, [](long double x) { return std::exp(x); }, -745, 710, 1.0},
      {"exp", exp, [](long double x) { return std::exp(x); }, -1, 1, 1.0},
      {"expm1", expm1, [](long double x) { return std::expm1(x); }, -40, 40, 2.0},
      {"expm1", expm1, [](long double x) { return std::expm1(x); }, -1, 1, 2.0},
      {"log", log, [](long double x) { return std::log(x); }, 0, 10, 1.0},
      {"log", log, [](long double x) { return std::log(x); }, 0.9, 1.1, 1.0},
      {"log", log, [](long double x) { return std::log(x); }, 0, 1e300, 1.0},
      {"log", log, [](long double x) { return std::log(x); }, 0, 1e-309, 1.0},
      {"log1p", log1p, [](long double x) { return std::log1p(x); }, -1, 1, 1.0},
      {"log1p", log1p, [](long double x) { return std::log1p(x); }, -1e-9, 1e-9, 1.0},
      {"erf", erf, [](long double x) { return std::erf(x); }, -7, 7, 2.0},
      {"erf", erf, [](long double x) { return std::erf(x); }, -1e-3, 1e-3, 2.0},
      {"tanh", tanh, [](long double x) { return std::tanh(x); }, -25, 25, 2.0},
      {"tanh", tanh, [](long double x) { return std::tanh(x); }, -1, 1, 2.0},
      {"sigmoid", sigmoid, sigmoid_exact, -700, 40, 2.0},
      {"sigmoid", sigmoid, sigmoid_exact, -5, 5, 2.0},
      {"sin", sin, [](long double x) { return std::sin(x); }, -10, 10, 1.0},
      {"cos", cos, [](long double x) { return std::cos(x); }, -10, 10, 1.0},
      {"sin", sin, [](long double x) { return std::sin(x); }, -1e6, 1e6, 1.0},
      {"cos", cos, [](long double x) { return std::cos(x); }, -1e6, 1e6, 1.0},
  };
  std::mt19937_64 random(1);
  for (const Case& c : cases) {
    double worst = 0.0, at = 0.0;
    std::uniform_real_distribution<double> draw(c.lo, c.hi);
    for (int i = 0; i < 20000; ++i) {
      const double x = draw(random);
      const double e = ulps(c.ours(x), c.exact(static_cast<long double>(x)));
      if (e > worst) worst = e, at = x;
    }
    EXPECT_LE(worst, c.bound) << c.name << " at " << at;
  }
}

TEST(DoubleMath, PowStaysWithinOneUlp) {
  std::mt19937_64 random(2);
  std::uniform_real_distribution<double> exponent(-30, 30), log_base(-40, 40);
  double worst = 0.0;
  for (int i = 0; i < 50000; ++i) {
    const double x = std::exp2(log_base(random)), y = exponent(random);
    const long double want = std::pow(static_cast<long double>(x), static_cast<long double>(y));
    if (want > 1e300L || want < 1e-300L) continue;
    worst = std::max(worst, ulps(pow(x, y), want));
  }
  EXPECT_LE(worst, 1.0);
}

TEST(DoubleMath, PowHasTheSpecialCasesOfC) {
  const std::vector<double> values = {0.0,
                                      -0.0,
                                      1.0,
                                      -1.0,
                                      2.0,
                                      -2.0,
                                      3.0,
                                      -3.0,
                                      0.5,
                                      -0.5,
                                      kInf,
                                      -kInf,
                                      1e300,
                                      1e-300,
                                      -1e300,
                                      9007199254740993.0,
                                      std::numeric_limits<double>::quiet_NaN()};
  for (const double x : values) {
    for (const double y : values) {
      const double got = pow(x, y), want = std::pow(x, y);
      if (std::isnan(want)) {
        EXPECT_TRUE(std::isnan(got)) << x << " ^ " << y;
      } else {
        EXPECT_LE(ulps(got, static_cast<long double>(want)), 1.0) << x << " ^ " << y;
        EXPECT_EQ(std::signbit(got), std::signbit(want)) << x << " ^ " << y;
      }
    }
  }
}

TEST(DoubleMath, ReducesHugeAnglesExactly) {
  // From a computation of pi to 1500 bits; the third is the double nearest to
  // a multiple of pi / 2.
  EXPECT_LE(ulps(sin(0x1p1000), -0x1.460b8ae1c886ep-3L), 1.0);
  EXPECT_LE(ulps(cos(0x1p1000), 0x1.f9785160c8815p-1L), 1.0);
  EXPECT_LE(ulps(cos(0x1.6ac5b262ca1ffp+849), -0x1.14ae72e6ba22fp-61L), 1.0);
  EXPECT_LE(ulps(sin(1e22), -0x1.b453ab76bf397p-1L), 1.0);
}

TEST(DoubleMath, HandlesLimits) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(exp(kInf), kInf);
  EXPECT_EQ(exp(-kInf), 0.0);
  EXPECT_EQ(exp(710.0), kInf);
  EXPECT_EQ(exp(-745.0), std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(log(0.0), -kInf);
  EXPECT_EQ(log(kInf), kInf);
  EXPECT_TRUE(std::isnan(log(-1.0)));
  EXPECT_EQ(tanh(kInf), 1.0);
  EXPECT_EQ(tanh(-kInf), -1.0);
  EXPECT_EQ(erf(-kInf), -1.0);
  EXPECT_EQ(sigmoid(-kInf), 0.0);
  EXPECT_EQ(sigmoid(kInf), 1.0);
  EXPECT_TRUE(std::signbit(sin(-0.0)) && std::signbit(tanh(-0.0)) && std::signbit(erf(-0.0)));
  for (double (*f)(double) : {exp, expm1, log, log1p, erf, tanh, sigmoid, sin, cos})
    EXPECT_TRUE(std::isnan(f(nan)));
  EXPECT_TRUE(std::isnan(sin(kInf)) && std::isnan(cos(-kInf)));
}

}  // namespace
}  // namespace intact::dmath
