#include "quant/equalize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/correct.h"
#include "quant/test_values.h"

namespace intact {
namespace {

std::vector<float> random_floats(std::uint64_t seed, std::size_t n) {
  test::Random r(seed);
  std::vector<float> v(n);
  for (auto& x : v) x = static_cast<float>(r.normal() * std::exp(2.0 * r.normal()));
  return v;
}

// y = W relu(V x + b), in long double.   V: [m, k]   W: [n, m]
std::vector<long double> two_layers(const std::vector<float>& v, const std::vector<float>& b,
                                    const std::vector<float>& w, const std::vector<float>& x) {
  const std::size_t m = b.size();
  const std::size_t k = x.size();
  std::vector<long double> y(w.size() / m, 0.0L);
  for (std::size_t i = 0; i < m; ++i) {
    long double h = static_cast<long double>(b[i]);
    for (std::size_t j = 0; j < k; ++j) {
      h += static_cast<long double>(v[i * k + j]) * static_cast<long double>(x[j]);
    }
    h = std::fmax(h, 0.0L);
    for (std::size_t o = 0; o < y.size(); ++o) y[o] += static_cast<long double>(w[o * m + i]) * h;
  }
  return y;
}

TEST(EqualizationScales, MakeRangesEqualAndLeaveTheFunction) {
  constexpr std::size_t m = 8, k = 6, n = 5;
  for (const bool powers : {false, true}) {
    auto v = random_floats(1, m * k);
    auto b = random_floats(2, m);
    auto w = random_floats(3, n * m);
    const auto x = random_floats(4, k);
    const auto before = two_layers(v, b, w, x);
    const AxisView rows{1, m, k}, columns{n, m, 1}, vector{1, m, 1};
    const auto s =
        equalization_scales(channel_absmax(v, rows), channel_absmax(w, columns), {1024.0, powers});
    divide_channels(v, rows, s);
    divide_channels(b, vector, s);
    multiply_channels(w, columns, s);
    const auto after = two_layers(v, b, w, x);
    for (std::size_t o = 0; o < n; ++o) {
      // Powers of two change nothing; other factors round each product of three floats.
      const long double bound = powers ? 0.0L : 1e-4L;
      EXPECT_NEAR(static_cast<double>(after[o]), static_cast<double>(before[o]),
                  static_cast<double>(bound));
    }
    const auto r1 = channel_absmax(v, rows);
    const auto r2 = channel_absmax(w, columns);
    for (std::size_t i = 0; i < m; ++i) {
      const double ratio = static_cast<double>(r1[i]) / static_cast<double>(r2[i]);
      // sqrt 2 on either side when rounded to a power of two: ranges differ by at most 2.
      EXPECT_NEAR(ratio, 1.0, powers ? 1.0001 : 1e-5);
    }
  }
}

TEST(EqualizationScales, ThreeLayersMeetAtTheGeometricMean) {
  const auto abs = [](std::vector<float> v) {
    for (auto& x : v) x = std::fabs(x) + 0.01f;
    return v;
  };
  const auto r1 = abs(random_floats(5, 9));
  const auto r2 = abs(random_floats(6, 9));
  const auto r3 = abs(random_floats(7, 9));
  const auto s = equalization_scales(r1, r2, r3, {1e9, false});
  for (std::size_t i = 0; i < 9; ++i) {
    const auto a = static_cast<double>(r1[i]), b = static_cast<double>(r2[i]),
               c = static_cast<double>(r3[i]);
    const double g = std::cbrt(a * b * c);
    EXPECT_NEAR(a / static_cast<double>(s.first[i]), g, g * 1e-6);
    EXPECT_NEAR(b * static_cast<double>(s.first[i]) / static_cast<double>(s.second[i]), g,
                g * 1e-6);
    EXPECT_NEAR(c * static_cast<double>(s.second[i]), g, g * 1e-6);
  }
}

TEST(EqualizationScales, DeadAndExtremeChannelsAreSafe) {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> r1{0.0f, 1.0f, 1e30f, 1e-30f, inf, 1e-40f, NAN};
  const std::vector<float> r2{1.0f, 0.0f, 1e-30f, 1e30f, 1.0f, 1.0f, 1.0f};
  const auto s = equalization_scales(r1, r2, {64.0, false});
  EXPECT_EQ(s, (std::vector<float>{1.0f, 1.0f, 64.0f, 1.0f / 64.0f, 1.0f, 1.0f, 1.0f}));
  const auto t = smoothing_scales(r1, r2, 0.5, {64.0, false});
  for (const float x : t) {
    EXPECT_TRUE(std::isfinite(x));
    EXPECT_GT(x, 0.0f);
  }
}

TEST(SmoothingScales, AreEquation13) {
  const std::vector<float> x{100.0f, 1.0f, 0.25f};
  const std::vector<float> w{0.5f, 2.0f, 0.125f};
  for (const double alpha : {0.0, 0.5, 0.75, 1.0}) {
    const auto s = smoothing_scales(x, w, alpha, {1e9, false});
    for (std::size_t i = 0; i < 3; ++i) {
      const long double expected = std::exp(
          static_cast<long double>(alpha) * std::log(static_cast<long double>(x[i])) -
          (1.0L - static_cast<long double>(alpha)) * std::log(static_cast<long double>(w[i])));
      EXPECT_NEAR(static_cast<double>(s[i]), static_cast<double>(expected),
                  static_cast<double>(expected) * 1e-6);
    }
  }
}

TEST(ChannelGains, FollowTheirFormulaWithFloors) {
  const std::vector<float> a{4.0f, 1.0f, 0.0f, 2.0f};
  const std::vector<float> w{0.5f, 2.0f, 2.0f, 1e-9f};
  for (const double alpha : {0.0, 0.5, 1.0}) {
    for (const bool depthwise : {false, true}) {
      std::vector<double> c(4);
      for (std::size_t i = 0; i < 4; ++i) {
        const double ai = std::fmax(static_cast<double>(a[i]), 4e-3);
        const double wi = depthwise ? 1.0 : std::fmax(static_cast<double>(w[i]), 2e-3);
        c[i] = std::pow(ai, alpha) / std::pow(wi, 1.0 - alpha);
      }
      const double top = *std::max_element(c.begin(), c.end());
      const auto v = channel_gains(a, depthwise ? std::vector<float>{} : w, alpha);
      for (std::size_t i = 0; i < 4; ++i) {
        const double expected = 1.0 / std::fmax(c[i] / top, 1.0 / 16.0);
        EXPECT_NEAR(static_cast<double>(v[i]), expected, expected * 1e-6) << alpha << " " << i;
      }
    }
  }
  EXPECT_EQ(channel_gains(std::vector<float>{0, 0}, std::vector<float>{1, 1}, 0.5),
            (std::vector<float>{1, 1}));
  EXPECT_EQ(channel_gains(std::vector<float>{1, NAN}, std::vector<float>{1, 1}, 0.5),
            (std::vector<float>{1, 1}));
  const ScaledRange r = scaled_range(std::vector<float>{-1, 0.5f}, std::vector<float>{2, 3},
                                     std::vector<float>{4, 1});
  EXPECT_EQ(r.lo, -4.0f);
  EXPECT_EQ(r.hi, 8.0f);
}

TEST(AbsorbableBias, IsTheMeanBeyondThreeDeviations) {
  const std::vector<float> mean{5.0f, 1.0f, -4.0f};
  const std::vector<float> deviation{1.0f, 1.0f, 0.5f};
  EXPECT_EQ(absorbable_bias(mean, deviation), (std::vector<float>{2.0f, 0.0f, 0.0f}));
}

// A grouped convolution over real inputs without padding: the corrected bias restores the mean.
TEST(BiasCorrection, RestoresTheMeanOutputOfAConvolution) {
  const WeightMatrix shape{2, 3, 4 * 2, 2};  // 2 groups of 3 outputs, 4 channels, 2 taps each.
  const std::size_t outputs = 6, channels = 8, positions = 50;
  const auto w = random_floats(21, outputs * shape.taps);
  auto w_hat = w;
  for (auto& v : w_hat) v = std::nearbyint(v * 4.0f) / 4.0f;
  const auto x = random_floats(22, channels * (positions + 1));
  auto x_hat = x;
  for (auto& v : x_hat) v = std::nearbyint(v);
  // Means by tap: tap t of a channel reads positions t .. t + 49.
  std::vector<double> mean, mean_hat;
  for (std::size_t c = 0; c < channels; ++c) {
    for (std::size_t t = 0; t < 2; ++t) {
      double a = 0.0, b = 0.0;
      for (std::size_t p = 0; p < positions; ++p) {
        a += static_cast<double>(x[c * (positions + 1) + p + t]) / positions;
        b += static_cast<double>(x_hat[c * (positions + 1) + p + t]) / positions;
      }
      mean.push_back(a);
      mean_hat.push_back(b);
    }
  }
  const auto change = bias_correction(w, w_hat, shape, mean, mean_hat);
  for (std::size_t n = 0; n < outputs; ++n) {
    double y = 0.0, y_hat = 0.0, size = 0.0;
    for (std::size_t p = 0; p < positions; ++p) {
      for (std::size_t k = 0; k < shape.taps; ++k) {
        const std::size_t c = n / 3 * 4 + k / 2;
        const std::size_t at = c * (positions + 1) + p + k % 2;
        y += static_cast<double>(w[n * shape.taps + k]) * static_cast<double>(x[at]);
        y_hat += static_cast<double>(w_hat[n * shape.taps + k]) * static_cast<double>(x_hat[at]);
        size += std::fabs(static_cast<double>(w[n * shape.taps + k]) * static_cast<double>(x[at]));
      }
    }
    EXPECT_NEAR(y_hat / positions + change[n], y / positions, 1e-12 * size + 1e-12);
  }
}

TEST(BiasCorrection, ByChannelSpreadsTheMeanOverTaps) {
  const WeightMatrix shape{1, 1, 6, 3};
  const std::vector<float> w{1, 2, 3, 4, 5, 6};
  const std::vector<float> w_hat{1, 2, 2, 4, 4, 6};
  // -(w_hat - w) E[x]: 1 * 10 of channel 0 and 1 * 100 of channel 1.
  const std::vector<double> mean{10.0, 100.0};
  EXPECT_EQ(bias_correction(w, w_hat, shape, mean, mean), std::vector<double>{110.0});
}

}  // namespace
}  // namespace intact
