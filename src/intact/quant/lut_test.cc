#include "quant/lut.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace intact {
namespace {

int code_of(std::uint8_t byte, CodeRange codes) {
  return codes.lo < 0 ? static_cast<std::int8_t>(byte) : byte;
}

// (10) in long double, rounded by hand.
int reference(int q, const Affine& x, const Affine& y, long double (*f)(long double)) {
  const long double v =
      f(static_cast<long double>(x.scale) * (q - x.zero_point)) / static_cast<long double>(y.scale);
  if (std::isnan(v)) return y.zero_point;
  const long double r = std::nearbyint(v) + y.zero_point;
  return static_cast<int>(std::fmin(std::fmax(r, static_cast<long double>(y.codes.lo)),
                                    static_cast<long double>(y.codes.hi)));
}

TEST(BuildLut, IsTheRoundedRealFunction) {
  for (const CodeRange codes : {CodeRange{0, 255}, CodeRange{-128, 127}}) {
    const Affine x{0.05f, codes.lo + 100, codes};
    const Affine y{0.021f, codes.lo + 13, codes};
    const Lut lut = build_lut(x, y, [](double v) { return v / (1.0 + std::exp(-v)); });
    for (int q = codes.lo; q <= codes.hi; ++q) {
      EXPECT_EQ(code_of(lut[static_cast<std::uint8_t>(q)], codes),
                reference(q, x, y, [](long double v) { return v / (1.0L + std::exp(-v)); }))
          << q;
    }
  }
}

TEST(BuildLut, TiesGoToEvenAndSpecialValuesAreSafe) {
  const Affine x{0.5f, 128, {0, 255}};
  const Affine y{1.0f, 1, {0, 255}};
  const Lut half = requantize_lut(x, y);  // 0.5 -> 0, 1.5 -> 2, 2.5 -> 2, plus the zero point.
  EXPECT_EQ(half[129], 1);
  EXPECT_EQ(half[131], 3);
  EXPECT_EQ(half[133], 3);
  EXPECT_EQ(half[127], 1);
  EXPECT_EQ(half[0], 0);  // -64 saturates.
  const Lut log = build_lut(x, y, [](double v) { return std::log(v); });
  EXPECT_EQ(log[128], 0) << "log 0 = -infinity saturates";
  EXPECT_EQ(log[0], 1) << "log of a negative number is NaN: the zero point";
  const Lut big = build_lut(x, y, [](double) { return std::numeric_limits<double>::infinity(); });
  EXPECT_EQ(big[7], 255);
}

TEST(BuildLut, BytesOutsideOfNarrowCodesTakeTheNearest) {
  const Affine x{1.0f, 0, {-8, 7}};
  const Lut lut = requantize_lut(x, {1.0f, 0, {-128, 127}});
  EXPECT_EQ(static_cast<std::int8_t>(lut[static_cast<std::uint8_t>(-100)]), -8);
  EXPECT_EQ(static_cast<std::int8_t>(lut[100]), 7);
  EXPECT_EQ(static_cast<std::int8_t>(lut[static_cast<std::uint8_t>(-3)]), -3);
}

TEST(ComposeLut, AppliesTheInnerFirst) {
  Lut add{};
  Lut twice{};
  for (int q = 0; q < 256; ++q) {
    add[static_cast<std::size_t>(q)] = static_cast<std::uint8_t>(q + 1);
    twice[static_cast<std::size_t>(q)] = static_cast<std::uint8_t>(2 * q);
  }
  EXPECT_EQ(compose(twice, add)[10], 22);
  EXPECT_EQ(compose(add, twice)[10], 21);
  const std::vector<std::uint8_t> q{0, 10, 255};
  std::vector<std::uint8_t> y(3);
  apply_lut(q, compose(twice, add), y);
  EXPECT_EQ(y, (std::vector<std::uint8_t>{2, 22, 0}));
}

}  // namespace
}  // namespace intact
