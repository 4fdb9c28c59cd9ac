#include "quant/affine.h"

#include <gtest/gtest.h>

#include <cfenv>
#include <cmath>
#include <limits>
#include <vector>

#include "quant/scheme.h"
#include "quant/test_values.h"

namespace intact {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// (2) in extended precision: the float quotient first, as ONNX defines it, then an exact rounding.
int reference_code(float x, const Affine& a) {
  if (std::isnan(x)) return a.zero_point;
  const volatile float t = x / a.scale;
  if (std::isinf(t)) return t > 0 ? a.codes.hi : a.codes.lo;
  const long double down = std::floor(static_cast<long double>(t));
  const long double rest = static_cast<long double>(t) - down;
  long double q = down;
  if (rest > 0.5L || (rest == 0.5L && std::fmod(down, 2.0L) != 0.0L)) q += 1.0L;
  q += a.zero_point;
  if (q < a.codes.lo) return a.codes.lo;
  if (q > a.codes.hi) return a.codes.hi;
  return static_cast<int>(q);
}

TEST(ChooseAffine, WidensRangeToIncludeZero) {
  const auto above = choose_affine(2.0f, 5.1f, {0, 255});
  ASSERT_TRUE(above);
  EXPECT_EQ(above->zero_point, 0);
  EXPECT_EQ(above->scale, static_cast<float>(static_cast<double>(5.1f) / 255.0));
  const auto below = choose_affine(-5.1f, -2.0f, {0, 255});
  ASSERT_TRUE(below);
  EXPECT_EQ(below->zero_point, 255);
}

TEST(ChooseAffine, RoundsTheZeroPointHalfToEven) {
  // scale 1: zero = 0 + 0.5 -> 0 and 1.5 -> 2.
  EXPECT_EQ(choose_affine(-0.5f, 254.5f, {0, 255})->zero_point, 0);
  EXPECT_EQ(choose_affine(-1.5f, 253.5f, {0, 255})->zero_point, 2);
  EXPECT_EQ(choose_affine(-0.5f, 254.5f, {-128, 127})->zero_point, -128);
}

TEST(ChooseAffine, EmptyRangeHasScaleOne) {
  const auto a = choose_affine(0.0f, -0.0f, {0, 255});
  ASSERT_TRUE(a);
  EXPECT_EQ(a->scale, 1.0f);
  EXPECT_EQ(a->zero_point, 0);
}

TEST(ChooseAffine, RefusesUnusableRanges) {
  EXPECT_FALSE(choose_affine(kNan, 1.0f, {0, 255}));
  EXPECT_FALSE(choose_affine(0.0f, kInf, {0, 255}));
  EXPECT_FALSE(choose_affine(2.0f, 1.0f, {0, 255}));
  EXPECT_FALSE(choose_affine(0.0f, 1.0f, {5, 5}));
  EXPECT_FALSE(choose_affine(0.0f, 1.0f, {0, 1 << 20}));
  EXPECT_FALSE(choose_affine(0.0f, 1e-38f, {0, 255})) << "a subnormal scale";
  EXPECT_TRUE(choose_affine(-3.4e38f, 3.4e38f, {0, 255})) << "the difference overflows float only";
}

TEST(ChooseSymmetric, PutsZeroInTheMiddle) {
  const auto s8 = choose_symmetric(-1.0f, 2.0f, {-128, 127});
  ASSERT_TRUE(s8);
  EXPECT_EQ(s8->zero_point, 0);
  EXPECT_EQ(s8->scale, static_cast<float>(2.0 / 127.0));
  EXPECT_EQ(choose_symmetric(-1.0f, 2.0f, {0, 255})->zero_point, 128);
}

class EveryWidth : public testing::TestWithParam<CodeRange> {};

template <class T>
void expect_exact(const Affine& a, const std::vector<float>& x) {
  std::vector<T> q(x.size());
  quantize<T>(x, a, q);
  std::vector<float> back(x.size());
  dequantize<T>(q, a, back);
  std::vector<float> fake(x.size());
  fake_quantize(x, a, fake);
  for (std::size_t i = 0; i < x.size(); ++i) {
    ASSERT_EQ(static_cast<int>(q[i]), reference_code(x[i], a))
        << "x = " << x[i] << " scale " << a.scale << " zero " << a.zero_point;
    ASSERT_EQ(encode(x[i], a), static_cast<int>(q[i]));
    const double real = static_cast<double>(a.scale) * (static_cast<int>(q[i]) - a.zero_point);
    ASSERT_EQ(back[i], static_cast<float>(real));
    ASSERT_EQ(back[i], decode(static_cast<int>(q[i]), a));
    ASSERT_EQ(fake[i], back[i]);
    ASSERT_EQ(std::signbit(fake[i]), std::signbit(back[i]));
  }
}

TEST_P(EveryWidth, QuantizesExactlyAndBack) {
  const CodeRange codes = GetParam();
  test::Random r(7);
  for (int round = 0; round < 200; ++round) {
    const double size = std::pow(10.0, 40.0 * r.uniform() - 20.0);
    auto map = choose_affine(static_cast<float>(-size * r.uniform()),
                             static_cast<float>(size * r.uniform()), codes);
    ASSERT_TRUE(map);
    Affine a = *map;
    if (round % 4 == 1) a.zero_point = codes.lo;
    if (round % 4 == 2) a.zero_point = codes.hi;
    std::vector<float> x{0.0f,   -0.0f,   kInf,
                         -kInf,  kNan,    std::numeric_limits<float>::max(),
                         1e-45f, -1e-45f, -std::numeric_limits<float>::max()};
    for (int i = 0; i < 200; ++i) {
      const double steps = (codes.hi - codes.lo) * (1.4 * r.uniform() - 0.7);
      x.push_back(static_cast<float>(steps * static_cast<double>(a.scale)));
      // On and next to a tie.
      const float tie = (std::floor(static_cast<float>(steps)) + 0.5f) * a.scale;
      x.push_back(tie);
      x.push_back(std::nextafter(tie, kInf));
      x.push_back(std::nextafter(tie, -kInf));
    }
    if (codes.lo >= -128 && codes.hi <= 127) expect_exact<std::int8_t>(a, x);
    if (codes.lo >= 0 && codes.hi <= 255) expect_exact<std::uint8_t>(a, x);
    if (codes.hi <= 32767) expect_exact<std::int16_t>(a, x);
    if (codes.lo >= 0) expect_exact<std::uint16_t>(a, x);
  }
}

INSTANTIATE_TEST_SUITE_P(Affine, EveryWidth,
                         testing::Values(CodeRange{-8, 7}, CodeRange{0, 15}, CodeRange{-128, 127},
                                         CodeRange{0, 255}, CodeRange{-127, 127},
                                         CodeRange{-32768, 32767}, CodeRange{0, 65535}));

TEST(Quantize, ErrorIsAtMostHalfAStepInsideTheRange) {
  const Affine a = *choose_affine(-1.0f, 3.0f, {0, 255});
  // Half a step, and the rounding of the quotient and of the product (each 2^-24 relative).
  const double bound = 0.5 * static_cast<double>(a.scale) + 3.0 * 0x1p-23;
  for (int i = 0; i <= 4000; ++i) {
    const float x = -1.0f + static_cast<float>(i) / 1000.0f;
    // The end whose zero point was rounded away may miss half a step more.
    const double slack = x < -0.99f || x > 2.99f ? 0.5 * static_cast<double>(a.scale) : 0.0;
    EXPECT_LE(std::fabs(static_cast<double>(decode(encode(x, a), a)) - static_cast<double>(x)),
              bound + slack);
  }
}

TEST(SeedForm, AgreesWithTheZeroPointForm) {
  // S and min chosen so that min / scale is an integer: then both forms are the same function.
  const Affine a = *affine_from_seed({64.0, -0.5}, {0, 255});
  EXPECT_EQ(a.scale, 1.0f / 64.0f);
  EXPECT_EQ(a.zero_point, 32);
  for (float x = -1.0f; x < 5.0f; x += 0.01f) {
    const double seed = std::nearbyint(64.0 * (static_cast<double>(x) + 0.5));
    EXPECT_EQ(encode(x, a), static_cast<int>(std::fmin(std::fmax(seed, 0.0), 255.0)));
  }
  EXPECT_EQ(seed_form(a).gain, 64.0);
  EXPECT_EQ(seed_form(a).min, -0.5);
  EXPECT_FALSE(affine_from_seed({0.0, 0.0}, {0, 255}));
  EXPECT_FALSE(affine_from_seed({1.0, std::nan("")}, {0, 255}));
}

TEST(Normalize, MapsTheRangeToTheUnitInterval) {
  const std::vector<float> x{-2.0f, 0.0f, 2.0f, 6.0f};
  std::vector<float> y(4);
  normalize(x, -2.0f, 6.0f, y);
  EXPECT_EQ(y, (std::vector<float>{0.0f, 0.25f, 0.5f, 1.0f}));
  normalize(x, 3.0f, 3.0f, y);
  EXPECT_EQ(y, (std::vector<float>(4, 0.0f)));
}

TEST(CheckAffine, NamesWhatIsWrong) {
  EXPECT_TRUE(check_affine({0.5f, 3, {0, 255}}));
  EXPECT_FALSE(check_affine({0.0f, 3, {0, 255}}));
  EXPECT_FALSE(check_affine({-1.0f, 3, {0, 255}}));
  EXPECT_FALSE(check_affine({1e-40f, 3, {0, 255}}));
  EXPECT_FALSE(check_affine({0.5f, 256, {0, 255}}));
}

TEST(CodeRangeOf, CoversEveryCodeType) {
  EXPECT_EQ(*code_range(Dtype::kInt4), (CodeRange{-8, 7}));
  EXPECT_EQ(*code_range(Dtype::kUint16), (CodeRange{0, 65535}));
  EXPECT_EQ(*symmetric_code_range(Dtype::kInt8), (CodeRange{-127, 127}));
  EXPECT_FALSE(code_range(Dtype::kFloat32));
  EXPECT_FALSE(symmetric_code_range(Dtype::kUint8));
}

TEST(AxisViews, QuantizeChannelsAndGroups) {
  // Shape [2, 5, 3] around axis 1: every element is quantized with its own map.
  const std::vector<std::int64_t> shape{2, 5, 3};
  const AxisView view = axis_view(shape, 1);
  EXPECT_EQ(view.outer, 2u);
  EXPECT_EQ(view.channels, 5u);
  EXPECT_EQ(view.inner, 3u);
  test::Random r(3);
  std::vector<float> x(30);
  for (auto& v : x) v = static_cast<float>(r.normal());
  std::vector<Affine> channel_maps;
  for (int c = 0; c < 5; ++c)
    channel_maps.push_back({0.01f * static_cast<float>(c + 1), c, {-128, 127}});
  std::vector<std::int8_t> q(30);
  quantize_channels<std::int8_t>(x, view, channel_maps, q);
  for (std::size_t i = 0; i < 30; ++i) EXPECT_EQ(q[i], encode(x[i], channel_maps[i / 3 % 5]));
  ASSERT_EQ(num_groups(view, 2), 2u * 3u * 3u);
  std::vector<Affine> group_maps;
  for (int g = 0; g < 18; ++g)
    group_maps.push_back({0.02f * static_cast<float>(g + 1), 0, {-8, 7}});
  quantize_groups<std::int8_t>(x, view, 2, group_maps, q);
  std::vector<float> back(30);
  dequantize_groups<std::int8_t>(q, view, 2, group_maps, back);
  for (std::size_t o = 0; o < 2; ++o) {
    for (std::size_t c = 0; c < 5; ++c) {
      for (std::size_t i = 0; i < 3; ++i) {
        const std::size_t at = (o * 5 + c) * 3 + i;
        const Affine& a = group_maps[(o * 3 + c / 2) * 3 + i];
        EXPECT_EQ(q[at], encode(x[at], a));
        EXPECT_EQ(back[at], decode(q[at], a));
      }
    }
  }
  // inner = 1 takes the contiguous path.
  const AxisView flat{6, 5, 1};
  quantize_groups<std::int8_t>(x, flat, 2, group_maps, q);
  for (std::size_t i = 0; i < 30; ++i) {
    EXPECT_EQ(q[i], encode(x[i], group_maps[i / 5 * 3 + i % 5 / 2]));
  }
}

TEST(Nibbles, FollowOnnxOrderAndSign) {
  const std::vector<std::int8_t> codes{-8, 7, -1, 0, 3};
  std::vector<std::uint8_t> packed(3);
  pack_nibbles<std::int8_t>(codes, packed);
  EXPECT_EQ(packed, (std::vector<std::uint8_t>{0x78, 0x0F, 0x03}));
  std::vector<std::int8_t> back(5);
  unpack_nibbles<std::int8_t>(packed, back);
  EXPECT_EQ(back, codes);
  std::vector<std::uint8_t> raw(5);
  unpack_nibbles<std::uint8_t>(packed, raw);
  EXPECT_EQ(raw, (std::vector<std::uint8_t>{8, 7, 15, 0, 3}));
}

TEST(Scheme, PrintsItself) {
  EXPECT_EQ(to_string(Scheme{}), "uint8 asymmetric per tensor");
  EXPECT_EQ(to_string(Scheme{Dtype::kInt4, true, Granularity::kGroup, 0, 32}),
            "int4 symmetric per group of 32 along axis 0");
}

}  // namespace
}  // namespace intact
