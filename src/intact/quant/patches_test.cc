#include "quant/patches.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "quant/fit_error.h"
#include "quant/test_values.h"

namespace intact {
namespace {

std::vector<float> random_floats(std::uint64_t seed, std::size_t n) {
  test::Random r(seed);
  std::vector<float> v(n);
  for (auto& x : v) x = static_cast<float>(r.normal());
  return v;
}

TEST(SamplePositions, AreDifferentSpreadAndRepeatable) {
  for (const auto& [total, wanted] : {std::pair<std::size_t, std::size_t>{1000, 64},
                                      {64, 64},
                                      {10, 64},
                                      {65, 64},
                                      {1, 1},
                                      {0, 5}}) {
    const auto p = sample_positions(total, wanted, 3);
    EXPECT_EQ(p.size(), std::min(total, wanted));
    EXPECT_EQ(std::set<std::size_t>(p.begin(), p.end()).size(), p.size());
    EXPECT_TRUE(std::is_sorted(p.begin(), p.end()));
    for (const std::size_t x : p) EXPECT_LT(x, total);
    EXPECT_EQ(p, sample_positions(total, wanted, 3));
  }
  EXPECT_NE(sample_positions(1000, 64, 3), sample_positions(1000, 64, 4));
}

// W row equals the convolution's definition at every position, for groups, strides, dilations,
// paddings and both layouts.
TEST(GatherPatches, TimesWeightsIsTheConvolution) {
  test::Random r(5);
  for (int round = 0; round < 40; ++round) {
    PatchGeometry g;
    g.batch = 1 + r.below(2);
    g.channels = 4;
    g.height = 3 + r.below(6);
    g.width = 3 + r.below(6);
    g.kernel_h = 1 + r.below(3);
    g.kernel_w = 1 + r.below(3);
    g.stride_h = 1 + r.below(2);
    g.stride_w = 1 + r.below(2);
    g.dilation_h = 1 + r.below(2);
    g.dilation_w = 1 + r.below(2);
    g.pad_top = r.below(3);
    g.pad_left = r.below(3);
    const std::size_t pad_bottom = 2, pad_right = 1;
    const std::size_t reach_h = (g.kernel_h - 1) * g.dilation_h + 1;
    const std::size_t reach_w = (g.kernel_w - 1) * g.dilation_w + 1;
    if (g.height + g.pad_top + pad_bottom < reach_h || g.width + g.pad_left + pad_right < reach_w) {
      continue;
    }
    g.out_h = (g.height + g.pad_top + pad_bottom - reach_h) / g.stride_h + 1;
    g.out_w = (g.width + g.pad_left + pad_right - reach_w) / g.stride_w + 1;
    g.channels_last = round % 2 == 1;
    const auto x =
        random_floats(static_cast<std::uint64_t>(round), g.batch * g.channels * g.height * g.width);
    std::vector<std::size_t> all(g.positions());
    std::iota(all.begin(), all.end(), std::size_t{0});
    const std::size_t first = 2, count = 2;
    const std::size_t taps = count * g.kernel_h * g.kernel_w;
    std::vector<float> rows(all.size() * taps, -1.0f);
    gather_patches(x, g, all, first, count, rows);
    const auto at = [&](std::size_t n, std::size_t c, long y, long z) {
      if (y < 0 || z < 0 || y >= static_cast<long>(g.height) || z >= static_cast<long>(g.width)) {
        return 0.0f;
      }
      const auto i = static_cast<std::size_t>(y), j = static_cast<std::size_t>(z);
      return g.channels_last ? x[((n * g.height + i) * g.width + j) * g.channels + c]
                             : x[((n * g.channels + c) * g.height + i) * g.width + j];
    };
    std::size_t k = 0;
    for (std::size_t n = 0; n < g.batch; ++n) {
      for (std::size_t oh = 0; oh < g.out_h; ++oh) {
        for (std::size_t ow = 0; ow < g.out_w; ++ow) {
          for (std::size_t c = 0; c < count; ++c) {
            for (std::size_t i = 0; i < g.kernel_h; ++i) {
              for (std::size_t j = 0; j < g.kernel_w; ++j, ++k) {
                const long y = static_cast<long>(oh * g.stride_h + i * g.dilation_h) -
                               static_cast<long>(g.pad_top);
                const long z = static_cast<long>(ow * g.stride_w + j * g.dilation_w) -
                               static_cast<long>(g.pad_left);
                ASSERT_EQ(rows[k], at(n, first + c, y, z));
              }
            }
          }
        }
      }
    }
    ASSERT_EQ(k, rows.size());
  }
}

TEST(FitReference, MeasuresSignalAndErrorOfEquation20) {
  constexpr std::size_t n = 13, k = 37, rows = 45;
  const auto w = random_floats(1, n * k);
  const auto x = random_floats(2, rows * k);
  auto w_hat = w;
  auto x_hat = x;
  for (auto& v : w_hat) v = std::nearbyint(v * 8.0f) / 8.0f;
  for (auto& v : x_hat) v = std::nearbyint(v * 4.0f) / 4.0f;
  const auto t = random_floats(3, n);
  const FitReference reference(w, x, k);
  ThreadPool pool(2);
  for (const bool with_bias : {false, true}) {
    const FitError e = reference.compare(w_hat, x_hat, with_bias ? t : std::vector<float>{});
    const FitError threaded =
        FitReference(w, x, k, &pool)
            .compare(w_hat, x_hat, with_bias ? t : std::vector<float>{}, &pool);
    EXPECT_EQ(e.error, threaded.error);
    EXPECT_EQ(e.signal, threaded.signal);
    long double signal = 0.0L, error = 0.0L;
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t o = 0; o < n; ++o) {
        long double y = 0.0L, y_hat = 0.0L;
        for (std::size_t i = 0; i < k; ++i) {
          y += static_cast<long double>(w[o * k + i]) * static_cast<long double>(x[r * k + i]);
          y_hat += static_cast<long double>(w_hat[o * k + i]) *
                   static_cast<long double>(x_hat[r * k + i]);
        }
        signal += y * y;
        const long double d = y - y_hat + (with_bias ? static_cast<long double>(t[o]) : 0.0L);
        error += d * d;
      }
    }
    // Float chains of 37 products of order 1: about 1e-5 absolute in outputs of order 6.
    EXPECT_NEAR(e.signal, static_cast<double>(signal), 1e-4 * static_cast<double>(signal));
    EXPECT_NEAR(e.error, static_cast<double>(error), 1e-3 * static_cast<double>(error));
    EXPECT_EQ(e.relative(), e.error / e.signal);
  }
  EXPECT_EQ(reference.compare(w, x).error, 0.0);
  EXPECT_EQ(FitError{}.relative(), 0.0);
}

}  // namespace
}  // namespace intact
