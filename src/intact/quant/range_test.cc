#include "quant/range.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "quant/test_values.h"

namespace intact {
namespace {

TensorStats stats_of(std::span<const float> x) {
  TensorObserver o;
  EXPECT_TRUE(o.observe(x));
  o.end_sample();
  return o.stats();
}

// Everything below is written from the definitions in range.h, not from the searches.

// The distribution: each bin's mass spread evenly over it. Moments up to a point x.
class Density {
 public:
  explicit Density(const Histogram& h) : w_(std::ldexp(1.0, h.exponent)), h_(h) {
    for (std::size_t b = 0; b < 2048; ++b) {
      const double l = left(b);
      const double r = left(b + 1);
      const auto n = static_cast<double>(h.counts[b]);
      m0_[b + 1] = m0_[b] + n;
      m1_[b + 1] = m1_[b] + n * (l + r) / 2.0;
      m2_[b + 1] = m2_[b] + n * (r * r + r * l + l * l) / 3.0;
    }
  }
  // Returns the integral over [a, b] of (x - v)^2 dF, in units of bins.
  [[nodiscard]] double error(double a, double b, double v) const {
    const auto [a0, a1, a2] = moments(a);
    const auto [b0, b1, b2] = moments(b);
    return std::fmax(0.0, (b2 - a2) - 2.0 * v * (b1 - a1) + v * v * (b0 - a0));
  }
  [[nodiscard]] double width() const { return w_; }

 private:
  static double left(std::size_t b) { return static_cast<double>(b) - 1024.0; }
  struct Moments {
    double m0, m1, m2;
  };
  [[nodiscard]] Moments moments(double x) const {
    if (x <= -1024.0) return {0.0, 0.0, 0.0};
    if (x >= 1024.0) return {m0_[2048], m1_[2048], m2_[2048]};
    const auto b = static_cast<std::size_t>(std::floor(x) + 1024.0);
    const double l = left(b);
    const auto n = static_cast<double>(h_.counts[b]);
    return {m0_[b] + n * (x - l), m1_[b] + n * (x * x - l * l) / 2.0,
            m2_[b] + n * (x * x * x - l * l * l) / 3.0};
  }
  double w_;
  const Histogram& h_;
  std::array<double, 2049> m0_{}, m1_{}, m2_{};
};

// (9) times total / w^2, code by code.
double reference_error(const Density& d, const Affine& a) {
  const double s = static_cast<double>(a.scale) / d.width();
  double sum = 0.0;
  for (int q = a.codes.lo; q <= a.codes.hi; ++q) {
    const double v = s * (q - a.zero_point);
    sum += d.error(q == a.codes.lo ? -1e9 : v - s / 2.0, q == a.codes.hi ? 1e9 : v + s / 2.0, v);
  }
  return sum;
}

std::vector<double> ends(double end, double w) {
  // 0, every edge strictly inside, and the end itself.
  std::vector<double> list{0.0};
  for (int k = 1; k <= 1024 && k * w < end; ++k) list.push_back(k * w);
  if (end > 0.0) list.push_back(end);
  return list;
}

struct Best {
  double error = std::numeric_limits<double>::infinity();
  Affine map;
};

Best exhaustive_mse(const TensorStats& t, const RangeTarget& target) {
  const Density d(t.histogram);
  const double lo_end = std::fmax(0.0, -static_cast<double>(t.min));
  const double hi_end = std::fmax(0.0, static_cast<double>(t.max));
  Best best;
  std::map<std::pair<float, int>, double> seen;
  const auto attempt = [&](double lo, double hi) {
    const auto map = map_of({static_cast<float>(-lo), static_cast<float>(hi)}, target);
    if (!map || (lo == 0.0 && hi == 0.0)) return;
    const auto [it, fresh] = seen.try_emplace({map->scale, map->zero_point}, 0.0);
    if (fresh) it->second = reference_error(d, *map);
    if (it->second < best.error) best = {it->second, *map};
  };
  if (target.symmetric) {
    for (const double e : ends(std::fmax(lo_end, hi_end), d.width())) attempt(e, e);
    return best;
  }
  for (const double lo : ends(lo_end, d.width())) {
    for (const double hi : ends(hi_end, d.width())) attempt(lo, hi);
  }
  return best;
}

// Equal objective within 1e-6; ends within one bin unless the two maps are equally good.
void expect_agreement(const TensorStats& t, const RangeTarget& target, std::uint64_t seed) {
  const auto range = choose_range(t, {RangeKind::kMse, 0.0}, target);
  ASSERT_TRUE(range) << "seed " << seed;
  const auto map = map_of(*range, target);
  ASSERT_TRUE(map);
  const Density d(t.histogram);
  const Best best = exhaustive_mse(t, target);
  const double found = reference_error(d, *map);
  // Moments of magnitude 1024^2 cancel: their rounding is the reference's own noise.
  const double noise = static_cast<double>(t.histogram.total()) * 1e-8;
  ASSERT_LE(found, best.error * (1.0 + 1e-6) + noise) << "seed " << seed;
  const double w = d.width();
  const auto end = [&](const Affine& a, int q) {
    return static_cast<double>(a.scale) * (q - a.zero_point);
  };
  if (found > best.error * (1.0 + 1e-9) + noise) {
    EXPECT_LE(std::fabs(end(*map, map->codes.lo) - end(best.map, map->codes.lo)), w * 1.001)
        << "seed " << seed;
    EXPECT_LE(std::fabs(end(*map, map->codes.hi) - end(best.map, map->codes.hi)), w * 1.001)
        << "seed " << seed;
  }
  // The project's own objective is the reference's, in its units.
  const double own = expected_squared_error(t.histogram, *map) / (w * w) *
                     static_cast<double>(t.histogram.total());
  EXPECT_NEAR(own, found, found * 1e-6 + noise) << "seed " << seed;
}

// Exhaustive references are slow; debug and sanitizer builds take a part of each quarter.
#ifdef NDEBUG
constexpr std::uint64_t kQuarter = 250;
#else
constexpr std::uint64_t kQuarter = 10;
#endif

class RandomDistributions : public testing::TestWithParam<int> {};

// 1000 distributions. The exhaustive search over pairs costs (pairs x codes), so wide codes meet
// one-sided or symmetric ranges here and 4-bit codes meet the full square; TwoSided8Bit has both.
TEST_P(RandomDistributions, MseAgreesWithExhaustiveSearch) {
  const auto first = static_cast<std::uint64_t>(GetParam());
  for (std::uint64_t seed = first; seed < first + kQuarter; ++seed) {
    test::Random r(seed + 1);
    auto x = test::random_values(seed, 50 + r.below(3000));
    RangeTarget target;
    switch (seed / 10 % 4) {
      case 0:
        target = {{0, 255}, false};
        for (auto& v : x) v = std::fabs(v);
        break;
      case 1:
        target = {{-128, 127}, false};
        for (auto& v : x) v = -std::fabs(v);
        break;
      case 2:
        target = {{-128, 127}, true};
        break;
      default:
        target = {{0, 15}, false};
        // A narrow histogram (one value far out) keeps the square small: 128 bins a side.
        x.push_back(8.0f * *std::max_element(x.begin(), x.end(), [](float a, float b) {
                      return std::fabs(a) < std::fabs(b);
                    }));
        for (std::size_t i = 0; i < x.size(); i += 97) x[i] *= 0.25f;
        break;
    }
    expect_agreement(stats_of(x), target, seed);
    if (HasFatalFailure()) return;
  }
}

// D(P | Q) of range.h's kl, with explicit arrays.
double reference_divergence(const Histogram& h, int first, int last, const Affine& a) {
  const double s = static_cast<double>(a.scale) / std::ldexp(1.0, h.exponent);
  const auto n = static_cast<std::size_t>(last - first + 1);
  std::vector<double> p(n), q(n);
  std::vector<std::size_t> code(n);
  std::vector<double> mass(static_cast<std::size_t>(a.codes.hi - a.codes.lo + 1));
  std::vector<double> occupied(mass.size());
  double outside_low = 0.0, outside_high = 0.0, sum_q = 0.0;
  for (int b = 0; b < 2048; ++b) {
    const auto count = static_cast<double>(h.counts[static_cast<std::size_t>(b)]);
    if (b < first) outside_low += count;
    if (b > last) outside_high += count;
    if (b < first || b > last) continue;
    const auto i = static_cast<std::size_t>(b - first);
    const int c = static_cast<int>(std::nearbyint((b - 1024 + 0.5) / s)) + a.zero_point;
    code[i] = static_cast<std::size_t>(std::clamp(c, a.codes.lo, a.codes.hi) - a.codes.lo);
    p[i] = count;
    mass[code[i]] += count;
    sum_q += count;
  }
  const double sum_p = sum_q + outside_low + outside_high;
  p.front() += outside_low;
  p.back() += outside_high;
  for (std::size_t i = 0; i < n; ++i) occupied[code[i]] += p[i] > 0.0;
  double d = 0.0;
  for (std::size_t i = 0; i < n; ++i) {
    if (p[i] == 0.0) continue;
    q[i] = mass[code[i]] / occupied[code[i]];
    if (q[i] == 0.0) return std::numeric_limits<double>::infinity();
    d += p[i] / sum_p * std::log(p[i] / sum_p * sum_q / q[i]);
  }
  return d;
}

TEST_P(RandomDistributions, KlAgreesWithExhaustiveSearch) {
  const auto first = static_cast<std::uint64_t>(GetParam());
  for (std::uint64_t seed = first; seed < first + kQuarter; ++seed) {
    test::Random r(seed + 1);
    const TensorStats t = stats_of(test::random_values(seed, 50 + r.below(3000)));
    const RangeTarget target{{0, 255}, false};
    const auto range = choose_range(t, {RangeKind::kKl, 0.0}, target);
    ASSERT_TRUE(range);
    const double w = std::ldexp(1.0, t.histogram.exponent);
    double best = std::numeric_limits<double>::infinity();
    double found = best;
    double best_threshold = 0.0;
    const auto top = static_cast<double>(std::max(-t.min, t.max));
    const auto low = static_cast<double>(std::min(t.min, 0.0f));
    const auto high = static_cast<double>(std::max(t.max, 0.0f));
    const int bins = top == 0.0 ? 0 : std::min(1024, static_cast<int>(std::floor(top / w)) + 1);
    for (int k = bins; k >= std::min(bins, 128) && k > 0; --k) {
      const Range candidate{static_cast<float>(std::fmax(low, -k * w)),
                            static_cast<float>(std::fmin(high, k * w))};
      const int negative = low == 0.0 ? 0 : static_cast<int>(std::floor(-low / w)) + 1;
      const int positive = high == 0.0 ? 0 : static_cast<int>(std::floor(high / w)) + 1;
      const auto map = choose_affine(candidate.lo, candidate.hi, target.codes);
      ASSERT_TRUE(map);
      const double d = reference_divergence(t.histogram, 1024 - std::min(k, negative),
                                            1023 + std::min(k, positive), *map);
      if (d < best - 1e-12) best = d, best_threshold = k * w;
      if (candidate == *range) found = d;
    }
    if (bins == 0) continue;
    ASSERT_LE(found, best + 1e-6 * std::fabs(best) + 1e-12) << "seed " << seed;
    const double threshold = static_cast<double>(std::max(-range->lo, range->hi));
    if (found > best + 1e-9) {
      EXPECT_LE(std::fabs(threshold - best_threshold), w * 1.001) << "seed " << seed;
    }
  }
}

TEST_P(RandomDistributions, PercentileIsTheNarrowestThatHoldsItsShare) {
  const auto first = static_cast<std::uint64_t>(GetParam());
  for (std::uint64_t seed = first; seed < first + kQuarter; ++seed) {
    test::Random r(seed + 1);
    const auto x = test::random_values(seed, 50 + r.below(3000));
    const TensorStats t = stats_of(x);
    const double percent = seed % 3 == 0 ? 90.0 : seed % 3 == 1 ? 99.0 : 99.9;
    const auto range = choose_range(t, {RangeKind::kPercentile, percent});
    ASSERT_TRUE(range);
    const double w = std::ldexp(1.0, t.histogram.exponent);
    // Count the values themselves. A value on an edge belongs outward, hence >= and <=.
    const auto beyond = [&](double lo, double hi, bool low_side) {
      double n = 0.0;
      for (const float v : x) {
        const auto d = static_cast<double>(v);
        n += low_side ? d < 0.0 && d <= lo : d > 0.0 && d >= hi;
      }
      return n;
    };
    double share = static_cast<double>(x.size()) * (100.0 - percent) / 100.0;
    if (t.min < 0.0f && t.max > 0.0f) share /= 2.0;
    const auto lo = static_cast<double>(range->lo);
    const auto hi = static_cast<double>(range->hi);
    const auto max = static_cast<double>(t.max);
    const auto min = static_cast<double>(t.min);
    if (hi > 0.0 && hi < max) {
      EXPECT_LE(beyond(lo, hi, false), share) << "seed " << seed;
    }
    if (lo < 0.0 && lo > min) {
      EXPECT_LE(beyond(lo, hi, true), share) << "seed " << seed;
    }
    // One edge further in holds too much.
    if (hi > 0.0) {
      EXPECT_GT(beyond(0.0, (std::ceil(hi / w) - 1.0) * w, false), share) << seed;
    }
    if (lo < 0.0) {
      EXPECT_GT(beyond((std::floor(lo / w) + 1.0) * w, 0.0, true), share) << seed;
    }
    EXPECT_EQ(*choose_range(t, {RangeKind::kPercentile, 100.0}),
              *choose_range(t, {RangeKind::kMinmax, 0.0}));
  }
}

INSTANTIATE_TEST_SUITE_P(Range, RandomDistributions, testing::Values(0, 250, 500, 750));

TEST(MseRange, TwoSided8BitAgreesWithExhaustiveSearch) {
  for (const std::uint64_t seed : {6u, 3u}) {
    expect_agreement(stats_of(test::random_values(seed, 3000)), {{0, 255}, false}, seed);
    if (kQuarter < 250) break;
  }
}

TEST(MseRange, SixteenBitsAndConstantsAreHandled) {
  const TensorStats t = stats_of(test::random_values(0, 1000));
  const auto wide = choose_range(t, {}, {{0, 65535}, false});
  ASSERT_TRUE(wide);
  // Rounding 16 bits costs less than clipping anything of 1000 values.
  EXPECT_EQ(wide->lo, t.min);
  EXPECT_EQ(wide->hi, t.max);
  for (const float c : {3.25f, -1e-3f, 1e-30f}) {
    const auto r = choose_range(stats_of(std::vector<float>(100, c)), {});
    ASSERT_TRUE(r);
    EXPECT_EQ(*r, (Range{std::min(c, 0.0f), std::max(c, 0.0f)}));
  }
  EXPECT_EQ(*choose_range(stats_of(std::vector<float>(9, 0.0f)), {}), (Range{0.0f, 0.0f}));
}

TEST(MseRange, ClipsARareOutlierAsFarAsItPays) {
  test::Random r(3);
  std::vector<float> x(200000);
  for (auto& v : x) v = static_cast<float>(r.normal());
  x[5] = 100.0f;
  const auto range = choose_range(stats_of(x), {});
  ASSERT_TRUE(range);
  // Rounding costs n (hi - lo)^2 / (12 255^2), clipping (100 - hi)^2; the sum is least at
  const double a = 200000.0 / (12.0 * 255.0 * 255.0);
  const double hi = (100.0 + a * static_cast<double>(range->lo)) / (1.0 + a);
  EXPECT_NEAR(static_cast<double>(range->hi), hi, 1.0);  // A few bins of 1/8, and half a code.
  EXPECT_GT(range->lo, -6.0f);
}

TEST(ChooseRange, MinmaxAverageAndMovingAreTheirFormulas) {
  TensorObserver o(0.5);
  for (const std::vector<float>& s : {std::vector<float>{-1.0f, 3.0f},
                                      std::vector<float>{1.0f, 9.0f}, std::vector<float>{-3.0f}}) {
    ASSERT_TRUE(o.observe(s));
    o.end_sample();
  }
  EXPECT_EQ(*choose_range(o.stats(), {RangeKind::kMinmax, 0.0}), (Range{-3.0f, 9.0f}));
  EXPECT_EQ(*choose_range(o.stats(), {RangeKind::kAverage, 0.0}), (Range{-1.0f, 3.0f}));
  // min: -1, 0, -1.5   max: 3, 6, 1.5
  EXPECT_EQ(*choose_range(o.stats(), {RangeKind::kMoving, 0.5}), (Range{-1.5f, 1.5f}));
  EXPECT_FALSE(choose_range(o.stats(), {RangeKind::kMoving, 0.25}));
  EXPECT_EQ(*choose_range(o.stats(), {RangeKind::kMinmax, 0.0}, {{-128, 127}, true}),
            (Range{-9.0f, 9.0f}));
  const auto none = choose_range(TensorStats{}, {});
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("no sample"), std::string::npos);
}

TEST(ChooseRange, DoesNotDependOnTheOrderOfSamples) {
  std::vector<std::vector<float>> samples;
  for (std::uint64_t s = 0; s < 6; ++s) samples.push_back(test::random_values(10 * s, 300));
  TensorObserver forward, backward;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    ASSERT_TRUE(forward.observe(samples[i]));
    forward.end_sample();
    ASSERT_TRUE(backward.observe(samples[samples.size() - 1 - i]));
    backward.end_sample();
  }
  for (const char* text : {"mse", "kl", "minmax", "average", "percentile=99"}) {
    const auto method = parse_range_method(text);
    ASSERT_TRUE(method);
    EXPECT_EQ(*choose_range(forward.stats(), *method), *choose_range(backward.stats(), *method));
  }
}

TEST(ParseRangeMethod, ReadsWhatItPrintsAndRefusesTheRest) {
  for (const char* text : {"mse", "kl", "minmax", "average", "moving=0.9", "percentile=99.99"}) {
    const auto m = parse_range_method(text);
    ASSERT_TRUE(m) << text;
    EXPECT_EQ(to_string(*m), text);
  }
  EXPECT_EQ(to_string(*parse_range_method("moving")), "moving=0.99");
  EXPECT_EQ(to_string(*parse_range_method("percentile")), "percentile=99.99");
  for (const char* text : {"", "entropy", "mse=1", "moving=1", "moving=-0.1", "moving=x",
                           "percentile=0", "percentile=101", "percentile=", "percentile=9 "}) {
    EXPECT_FALSE(parse_range_method(text)) << text;
  }
}

TEST(ClippedShare, CountsPartsOfBins) {
  const std::vector<float> x{0.5f, 1.0f, 1.5f, -1.0f, 0.0f};
  const Histogram h = stats_of(x).histogram;
  EXPECT_EQ(clipped_share(h, {-2.0f, 2.0f}), 0.0);
  EXPECT_DOUBLE_EQ(clipped_share(h, {-2.0f, 1.25f}), 0.2);
  EXPECT_DOUBLE_EQ(clipped_share(h, {0.0f, 1.25f}), 0.4);
  EXPECT_DOUBLE_EQ(clipped_share(h, {-2.0f, static_cast<float>(1.5 + h.width() / 2)}), 0.1);
}

}  // namespace
}  // namespace intact
