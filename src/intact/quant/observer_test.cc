#include "quant/observer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "base/fp_env.h"
#include "quant/test_values.h"

namespace intact {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kTiny = std::numeric_limits<float>::denorm_min();

// (7) and (8) from the definition, in long double, over all values at once.
Histogram reference_histogram(const std::vector<float>& x) {
  Histogram h;
  long double top = 0.0L;
  for (const float v : x) top = std::fmax(top, std::fabs(static_cast<long double>(v)));
  if (top > 0.0L) {
    h.exponent = std::max(static_cast<int>(std::floor(std::log2(top))) - 9, -120);
  }
  for (const float v : x) {
    if (v == 0.0f) {
      ++h.zeros;
      continue;
    }
    const long double j =
        std::floor(std::fabs(static_cast<long double>(v)) / std::ldexp(1.0L, h.exponent));
    const int b = v > 0.0f ? 1024 + static_cast<int>(j) : 1023 - static_cast<int>(j);
    ++h.counts.at(static_cast<std::size_t>(b));
  }
  return h;
}

TensorStats observe_all(const std::vector<std::vector<float>>& samples) {
  TensorObserver o;
  for (const auto& s : samples) {
    EXPECT_TRUE(o.observe(s));
    o.end_sample();
  }
  return o.stats();
}

TEST(ExactSum, DoesNotDependOnOrderOrGrouping) {
  test::Random r(1);
  std::vector<float> x;
  for (int i = 0; i < 3000; ++i) {
    x.push_back(static_cast<float>(r.normal() * std::pow(10.0, 76.0 * r.uniform() - 38.0)));
  }
  x.insert(x.end(), {std::numeric_limits<float>::max(), -std::numeric_limits<float>::max(), kTiny,
                     -kTiny, 0.0f, -0.0f});
  ExactSum forward;
  for (const float v : x) forward.add(static_cast<double>(v));
  for (int round = 0; round < 5; ++round) {
    for (std::size_t i = x.size(); i > 1; --i) std::swap(x[i - 1], x[r.below(i)]);
    ExactSum parts[3];
    for (std::size_t i = 0; i < x.size(); ++i) parts[i % 3].add(static_cast<double>(x[i]));
    parts[2].add(parts[0]);
    parts[2].add(parts[1]);
    EXPECT_EQ(parts[2], forward);
  }
  for (const float v : x) forward.add(-static_cast<double>(v));
  EXPECT_EQ(forward, ExactSum{});
}

TEST(ExactSum, RoundsOnceHalfToEven) {
  ExactSum s;
  s.add(1.0);
  s.add(0x1p-53);  // A tie: 1 is even.
  EXPECT_EQ(s.value(), 1.0);
  s.add(static_cast<double>(kTiny));
  EXPECT_EQ(s.value(), 1.0 + 0x1p-52);
  ExactSum t;
  t.add(-1.0 - 0x1p-52);
  t.add(-0x1p-53);  // A tie: the neighbour above is even.
  EXPECT_EQ(t.value(), -1.0 - 0x1p-51);
  ExactSum big;
  for (int i = 0; i < 1000; ++i) big.add(static_cast<double>(std::numeric_limits<float>::max()));
  EXPECT_EQ(big.value(), 1000.0 * static_cast<double>(std::numeric_limits<float>::max()));
  ExactSum small;
  for (int i = 0; i < 3; ++i) small.add(-static_cast<double>(kTiny));
  EXPECT_EQ(small.value(), -3.0 * static_cast<double>(kTiny));
  EXPECT_EQ(ExactSum{}.value(), 0.0);
}

TEST(ExactSum, SurvivesText) {
  ExactSum s;
  s.add(static_cast<double>(-1.5e-30f));
  s.add(static_cast<double>(3e38f));
  const auto back = ExactSum::from_hex(s.to_hex());
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, s);
  EXPECT_FALSE(ExactSum::from_hex(s.to_hex().substr(1)));
  EXPECT_FALSE(ExactSum::from_hex(std::string(96, 'g')));
}

TEST(HistogramExponent, PutsTheLargestMagnitudeIntoTheOuterHalf) {
  for (const float top : {1.0f, 0.999999f, 1.9999999f, 2.0f, 6.0f, 1e-20f, 3.4e38f}) {
    const double w = std::ldexp(1.0, Histogram::exponent_for(top));
    const double j = std::floor(static_cast<double>(top) / w);
    EXPECT_GE(j, 512.0) << top;
    EXPECT_LE(j, 1023.0) << top;
  }
  EXPECT_EQ(Histogram::exponent_for(kTiny), Histogram::kMinExponent);
  EXPECT_EQ(Histogram::exponent_for(0.0f), Histogram::kMinExponent);
  EXPECT_EQ(Histogram::exponent_for(std::numeric_limits<float>::max()), Histogram::kMaxExponent);
}

TEST(ObserveValues, EqualsTheDefinitionWhateverTheSizeAndFamily) {
  ThreadPool pool(2);
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const std::size_t sizes[] = {1, 15, 16, 17, 1000, 2047, 2048, 5000, 70001, 300001};
    auto x = test::random_values(seed, sizes[seed % 10]);
    if (seed % 3 == 0) x[x.size() / 2] = -0.0f;
    if (seed % 4 == 1) x.back() *= 1e6f;  // Widens at the very end.
    if (seed % 5 == 2) x.front() = kTiny;
    const Histogram expected = reference_histogram(x);
    Histogram h;
    const Extremes e = observe_values(x, h, seed % 2 == 0 ? &pool : nullptr);
    ASSERT_TRUE(e.finite);
    ASSERT_EQ(h, expected) << "seed " << seed;
    ASSERT_EQ(e.min, *std::min_element(x.begin(), x.end()));
    ASSERT_EQ(e.max, *std::max_element(x.begin(), x.end()));
  }
}

TEST(ObserveValues, TreatsDenormalsAndZerosTheSameAtEveryWidth) {
  const std::vector<float> x{kTiny,        -kTiny, 0.0f,   -0.0f,  1e-40f, -1e-40f,
                             1.17549e-38f, -1.0f,  -3e38f, 3e-39f, 0.5f,   3e38f};
  const Histogram expected = reference_histogram(x);
  // One at a time, in both orders: each value widens or is binned late.
  for (const bool reverse : {false, true}) {
    auto y = x;
    if (reverse) std::reverse(y.begin(), y.end());
    Histogram h;
    for (const float v : y) observe_values(std::span<const float>(&v, 1), h);
    EXPECT_EQ(h, expected);
  }
}

TEST(ObserveValues, FindsEveryNanAndInfinity) {
  for (const std::size_t n : {1u, 16u, 33u, 5000u}) {
    for (const float bad : {kInf, -kInf, std::numeric_limits<float>::quiet_NaN(),
                            -std::numeric_limits<float>::quiet_NaN()}) {
      for (const std::size_t at : {std::size_t{0}, n / 2, n - 1}) {
        std::vector<float> x(n, 1.0f);
        x[at] = bad;
        TensorObserver o;
        const Status s = o.observe(x);
        ASSERT_FALSE(s) << n << " " << at;
        EXPECT_EQ(s.error().code, ErrorCode::kDataMismatch);
      }
    }
    std::vector<float> x(n, std::numeric_limits<float>::max());
    TensorObserver o;
    EXPECT_TRUE(o.observe(x));
  }
}

TEST(TensorObserver, GivesTheSameBytesForEveryOrderAndGrouping) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    // Four shards of samples with very different magnitudes; all 24 orders, two groupings.
    std::vector<std::vector<float>> shards;
    for (std::uint64_t s = 0; s < 4; ++s) {
      shards.push_back(test::random_values(seed * 4 + s, 50 + 400 * s));
    }
    const TensorStats all = observe_all(shards);
    std::vector<int> order{0, 1, 2, 3};
    do {
      std::vector<std::vector<float>> permuted;
      for (const int i : order) permuted.push_back(shards[static_cast<std::size_t>(i)]);
      ASSERT_EQ(observe_all(permuted), all);
      TensorStats left;
      for (const auto& shard : permuted) ASSERT_TRUE(left.merge(observe_all({shard})));
      ASSERT_EQ(left, all);
      TensorStats right = observe_all({permuted[2], permuted[3]});
      TensorStats pair = observe_all({permuted[0], permuted[1]});
      ASSERT_TRUE(right.merge(pair));
      ASSERT_EQ(right, all);
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

TEST(TensorObserver, CountsSamplesNotCalls) {
  TensorObserver o;
  ASSERT_TRUE(o.observe(std::vector<float>{1.0f, 5.0f}));
  ASSERT_TRUE(o.observe(std::vector<float>{-3.0f}));
  o.end_sample();
  o.end_sample();  // Without values: nothing happens.
  ASSERT_TRUE(o.observe(std::vector<float>{}));
  o.end_sample();
  ASSERT_TRUE(o.observe(std::vector<float>{2.0f}));
  o.end_sample();
  EXPECT_EQ(o.stats().samples, 2u);
  EXPECT_EQ(o.stats().min, -3.0f);
  EXPECT_EQ(o.stats().max, 5.0f);
  EXPECT_EQ(o.stats().sum_min.value(), -1.0);
  EXPECT_EQ(o.stats().sum_max.value(), 7.0);
  EXPECT_EQ(o.stats().histogram.total(), 4u);
}

TEST(TensorObserver, MovingAverageFollowsTheSamplesAndRefusesToMerge) {
  TensorObserver o(0.75);
  for (const float x : {4.0f, 8.0f, -8.0f}) {
    ASSERT_TRUE(o.observe(std::vector<float>{x, 0.0f}));
    o.end_sample();
  }
  EXPECT_EQ(o.stats().moving->max, 0.75 * (0.75 * 4.0 + 0.25 * 8.0) + 0.25 * 0.0);
  EXPECT_EQ(o.stats().moving->min, 0.25 * -8.0);
  TensorStats s = o.stats();
  const Status merged = s.merge(TensorStats{});
  ASSERT_FALSE(merged);
  EXPECT_NE(merged.error().message.find("moving"), std::string::npos);
}

TEST(Histogram, CountsBeyond32Bits) {
  Histogram h;
  h.exponent = -9;
  h.counts[1536] = std::uint64_t{1} << 40;
  Histogram other = h;
  h.merge(other);
  EXPECT_EQ(h.counts[1536], std::uint64_t{1} << 41);
  EXPECT_EQ(h.total(), std::uint64_t{1} << 41);
}

}  // namespace
}  // namespace intact
