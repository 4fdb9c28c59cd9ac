#include "quant/weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/test_values.h"

namespace intact {
namespace {

std::vector<float> random_weights(std::uint64_t seed, std::size_t n) {
  test::Random r(seed);
  std::vector<float> w(n);
  for (auto& v : w) v = static_cast<float>(r.normal() * (r.uniform() < 0.02 ? 6.0 : 1.0));
  return w;
}

// (4m) as it is written, in long double.
long double squared_error(const std::vector<float>& row, long double s, int top,
                          const std::vector<float>& importance = {}) {
  long double sum = 0.0L;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const long double w = static_cast<long double>(row[i]);
    const long double q =
        std::fmin(std::fmax(std::nearbyint(w / s), -static_cast<long double>(top)),
                  static_cast<long double>(top));
    const long double g = importance.empty() ? 1.0L : static_cast<long double>(importance[i]);
    sum += g * (w - s * q) * (w - s * q);
  }
  return sum;
}

std::vector<float> channel(const std::vector<float>& w, const AxisView& v, std::size_t c) {
  std::vector<float> row;
  for (std::size_t o = 0; o < v.outer; ++o) {
    for (std::size_t i = 0; i < v.inner; ++i) row.push_back(w[(o * v.channels + c) * v.inner + i]);
  }
  return row;
}

TEST(WeightScales, AreTheLargestOfThreeTerms) {
  const AxisView view{1, 4, 3};
  const std::vector<float> w{1.27f, -0.5f, 0.1f, 0.0f, 0.0f, 0.0f, -2.54f, 0.0f, 1.0f, 1e-3f, 0, 0};
  const std::vector<float> bias{0.0f, 3.0f, 0.0f, 1e6f};
  const float sx = 1e-3f;
  const auto s = choose_weight_scales(w, view, bias, sx);
  ASSERT_TRUE(s);
  EXPECT_EQ((*s)[0], static_cast<float>(static_cast<double>(1.27f) / 127.0));
  EXPECT_EQ((*s)[1], static_cast<float>(3.0 / (static_cast<double>(sx) * 0x1p30)));
  EXPECT_EQ((*s)[2], static_cast<float>(static_cast<double>(2.54f) / 127.0));
  EXPECT_EQ((*s)[3], static_cast<float>(1e6 / (static_cast<double>(sx) * 0x1p30)));
  const auto dead = choose_weight_scales(std::vector<float>(12, 0.0f), view, {}, 0.0f);
  ASSERT_TRUE(dead);
  for (const float x : *dead) EXPECT_EQ(x, 0x1p-100f);
  const auto one = choose_weight_scale(w, view, bias, sx);
  ASSERT_TRUE(one);
  EXPECT_EQ(*one, *std::max_element(s->begin(), s->end()));
}

TEST(WeightScales, RefuseWhatIsNotFinite) {
  const AxisView view{1, 2, 2};
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto bad = choose_weight_scales(std::vector<float>{1, 2, 3, nan}, view, {}, 1.0f);
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("channel 1"), std::string::npos);
  EXPECT_FALSE(choose_weight_scale(std::vector<float>{1, 2, 3, nan}, view, {}, 1.0f));
  EXPECT_FALSE(
      choose_weight_scales(std::vector<float>{1, 2, 3, 4}, view, std::vector<float>{0, nan}, 1.0f));
  EXPECT_FALSE(
      choose_weight_scales(std::vector<float>{1, 2, 3, 4}, view, std::vector<float>{0, 1}, 0.0f));
}

// No scale of a fine exhaustive grid, over the whole interval down to a quarter, beats the search
// by more than what the distance between two of its 65 candidates can hide.
TEST(MseWeightScales, AgreeWithAnExhaustiveSearch) {
  for (const int top : {127, 7}) {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      const std::size_t k = 1 + seed * 7;
      const std::vector<float> row = random_weights(seed, k);
      const AxisView view{1, 1, k};
      std::vector<float> importance;
      if (seed % 3 == 2) {
        importance = random_weights(seed + 1000, k);
        for (auto& g : importance) g = g * g;
      }
      const auto s =
          choose_weight_scales(row, view, {}, 1.0f, {WeightRange::kMse, {-top, top}}, importance);
      ASSERT_TRUE(s);
      const long double found =
          squared_error(row, static_cast<long double>((*s)[0]), top, importance);
      long double peak = 0.0L;
      for (const float w : row) peak = std::fmax(peak, std::fabs(static_cast<long double>(w)));
      const long double widest = squared_error(row, peak / top, top, importance);
      // s is rounded to float, which moves each s q by at most 2^-24 of itself.
      long double norm = 0.0L;
      for (std::size_t i = 0; i < k; ++i) {
        const long double g = importance.empty() ? 1.0L : static_cast<long double>(importance[i]);
        norm += g * static_cast<long double>(row[i]) * static_cast<long double>(row[i]);
      }
      const auto bound = [&](long double e) {
        const long double root = std::sqrt(e) + 1.01L * 0x1p-24L * std::sqrt(norm);
        return root * root;
      };
      EXPECT_LE(found, bound(widest));
      // The same 65 candidates, evaluated independently: the search is at least as good as each.
      const long double share =
          std::fmax(0.25L, 1.0L - std::sqrt(static_cast<long double>(k)) / (2.0L * top));
      for (int i = 0; i <= 64; ++i) {
        const long double t = peak / top * (1.0L - (1.0L - share) * i / 64.0L);
        EXPECT_LE(found, bound(squared_error(row, t, top, importance)));
      }
      // Nothing below the bound wins (derivation in docs/maths/affine.md).
      if (importance.empty() && share > 0.25L) {
        for (int i = 1; i <= 200; ++i) {
          const long double t = peak / top * share * (1.0L - i / 201.0L);
          EXPECT_GE(squared_error(row, t, top), widest * (1.0L - 1e-9L));
        }
      }
    }
  }
}

TEST(MseWeightScales, KeepTheBiasTerm) {
  const std::vector<float> w = random_weights(1, 64);
  const auto s = choose_weight_scales(w, {1, 1, 64}, std::vector<float>{1e9f}, 1.0f,
                                      {WeightRange::kMse, {-127, 127}});
  ASSERT_TRUE(s);
  EXPECT_GE(static_cast<double>((*s)[0]) * 0x1p30, 1e9 * (1.0 - 1e-7));
}

TEST(GroupScales, AreAbsmaxOfEachGroup) {
  const std::vector<float> w = random_weights(9, 2 * 7 * 3);
  const AxisView view{2, 7, 3};
  const auto s = choose_group_scales(w, view, 3, {WeightRange::kMinmax, {-7, 7}});
  ASSERT_TRUE(s);
  ASSERT_EQ(s->size(), 2u * 3u * 3u);
  for (std::size_t o = 0; o < 2; ++o) {
    for (std::size_t g = 0; g < 3; ++g) {
      for (std::size_t i = 0; i < 3; ++i) {
        double peak = 0.0;
        for (std::size_t c = 3 * g; c < std::min<std::size_t>(7, 3 * g + 3); ++c) {
          peak = std::fmax(peak, std::fabs(static_cast<double>(w[(o * 7 + c) * 3 + i])));
        }
        EXPECT_EQ((*s)[(o * 3 + g) * 3 + i], static_cast<float>(peak / 7.0));
      }
    }
  }
}

TEST(QuantizeWeights, UsesEachChannelsScale) {
  const AxisView view{3, 2, 2};
  const std::vector<float> w = random_weights(4, 12);
  const auto s = choose_weight_scales(w, view, {}, 1.0f);
  std::vector<std::int8_t> q(12);
  quantize_weights(w, view, *s, {-127, 127}, q);
  for (std::size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(q[i], encode(w[i], {(*s)[i / 2 % 2], 0, {-127, 127}}));
  }
  for (std::size_t c = 0; c < 2; ++c) {
    const auto row = channel(w, view, c);
    const float peak = *std::max_element(
        row.begin(), row.end(), [](float a, float b) { return std::fabs(a) < std::fabs(b); });
    EXPECT_EQ(std::abs(encode(peak, {(*s)[c], 0, {-127, 127}})), 127);
  }
}

TEST(QuantizeBias, RoundsTheExactQuotient) {
  const float sx = 0.1f;
  const std::vector<float> sw{0.25f, 1e-3f, 3.0f};
  const std::vector<float> bias{1.0f, -2.0f, 0.15f};
  const auto q = quantize_bias(bias, sx, sw);
  ASSERT_TRUE(q);
  for (std::size_t n = 0; n < 3; ++n) {
    const long double exact = static_cast<long double>(bias[n]) /
                              (static_cast<long double>(sx) * static_cast<long double>(sw[n]));
    EXPECT_EQ((*q)[n], static_cast<std::int32_t>(std::nearbyint(exact)));
  }
  const auto bad = quantize_bias(std::vector<float>{0.0f, 1e9f}, 0.1f, std::vector<float>{0.1f});
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("channel 1"), std::string::npos);
}

TEST(QuantizeBias, AlwaysFitsWithTheScalesOfEquation4) {
  test::Random r(5);
  for (int i = 0; i < 2000; ++i) {
    const auto sx = static_cast<float>(std::pow(10.0, 20.0 * r.uniform() - 15.0));
    const std::vector<float> w{static_cast<float>(std::pow(10.0, 20.0 * r.uniform() - 18.0))};
    const std::vector<float> b{
        static_cast<float>(r.normal() * std::pow(10.0, 20.0 * r.uniform() - 12))};
    const auto s = choose_weight_scales(w, {1, 1, 1}, b, sx);
    ASSERT_TRUE(s);
    const auto q = quantize_bias(b, sx, *s);
    ASSERT_TRUE(q);
    EXPECT_LE(std::abs(static_cast<std::int64_t>((*q)[0])), (std::int64_t{1} << 30) + 128);
  }
}

TEST(FindOverflow, IsExactAtTheLimit) {
  // 2 weights of 127, input codes 0..255 with zero point 0: 2 * 127 * 255 = 64770.
  const std::vector<std::int8_t> w{1, 1, 127, -127};
  const AxisView view{1, 2, 2};
  const Affine x{1.0f, 0, {0, 255}};
  const auto check = [&](std::int64_t bias) {
    const std::vector<std::int32_t> b{0, static_cast<std::int32_t>(bias)};
    return find_overflow<std::int8_t>(w, view, {}, b, x);
  };
  constexpr std::int64_t limit = (std::int64_t{1} << 31) - 64770;
  EXPECT_EQ(check(limit - 1), std::nullopt);
  EXPECT_EQ(check(limit), std::optional<std::size_t>(1));
  EXPECT_EQ(check(-limit), std::optional<std::size_t>(1));
  EXPECT_EQ(check(std::numeric_limits<std::int32_t>::min()), std::optional<std::size_t>(1));
  // A zero point in the middle halves the reach: 2 * 127 * 128.
  const Affine middle{1.0f, 127, {0, 255}};
  const std::vector<std::int32_t> b{0, static_cast<std::int32_t>(limit)};
  EXPECT_EQ(find_overflow<std::int8_t>(w, view, {}, b, middle), std::nullopt);
}

TEST(FindOverflow, CountsWeightZeroPoints) {
  const std::vector<std::uint8_t> w(40000, 0);
  const AxisView view{1, 1, 40000};
  const Affine x{1.0f, 0, {0, 255}};
  EXPECT_EQ(find_overflow<std::uint8_t>(w, view, std::vector<std::int32_t>{0}, {}, x),
            std::nullopt);
  // |0 - 255| * 255 * 40000 = 2.6e9.
  EXPECT_EQ(find_overflow<std::uint8_t>(w, view, std::vector<std::int32_t>{255}, {}, x),
            std::optional<std::size_t>(0));
}

}  // namespace
}  // namespace intact
