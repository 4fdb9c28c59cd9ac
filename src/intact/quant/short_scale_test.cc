#include "quant/short_scale.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "quant/range.h"
#include "quant/weights.h"

namespace intact {
namespace {

std::vector<float> members(ScaleSet set) {  // Of one octave, by walking up.
  std::vector<float> found;
  for (float s = 1.0f; s < 2.0f; s = scale_above(std::nextafter(s, 2.0f), set)) found.push_back(s);
  return found;
}

// a / b rounded half to even, b > 0.
std::int64_t round_ratio(std::int64_t a, std::int64_t b) {
  std::int64_t q = a / b, r = a % b;
  if (r < 0) r += b, --q;
  return q + (2 * r > b || (2 * r == b && q % 2 != 0) ? 1 : 0);
}

TEST(ShortScale, SetsAreTheDocumentedOnes) {
  EXPECT_EQ(members(ScaleSet::kSum), (std::vector<float>{1.0f}));
  EXPECT_EQ(members(ScaleSet::kActivation), (std::vector<float>{1.0f, 1.5f}));
  EXPECT_EQ(members(ScaleSet::kWeight),
            (std::vector<float>{1.0f, 1.125f, 1.25f, 1.375f, 1.5f, 1.875f}));
}

TEST(ShortScale, NeighboursEncloseTheScale) {
  for (const ScaleSet set : {ScaleSet::kSum, ScaleSet::kActivation, ScaleSet::kWeight})
    for (const float scale : {0x1p-100f, 3e-20f, 0.0123f, 0.75f, 1.0f, 1.99f, 7e8f}) {
      const float above = scale_above(scale, set), below = scale_below(scale, set);
      EXPECT_GE(above, scale);
      EXPECT_LE(below, scale);
      EXPECT_EQ(scale_above(below, set), below);
      EXPECT_EQ(scale_below(above, set), above);
      EXPECT_LE(above / below, 2.0f);
    }
  EXPECT_EQ(scale_above(0.3f, ScaleSet::kAny), 0.3f);
}

TEST(ShortScale, PowersAreNearestInRatio) {
  EXPECT_EQ(scale_near(1.0f, ScaleSet::kSum), 1.0f);
  EXPECT_EQ(scale_near(1.41f, ScaleSet::kSum), 1.0f);
  EXPECT_EQ(scale_near(1.42f, ScaleSet::kSum), 2.0f);
  EXPECT_EQ(scale_near(0.1f, ScaleSet::kSum), 0.125f);
}

// The claim of the header: the epilogue of an integer product, one float multiplication, rounds the
// exact value half to even, ties among them.
TEST(ShortScale, OneFloatMultiplicationRoundsExactly) {
  for (const float x : members(ScaleSet::kActivation))
    for (const float w : members(ScaleSet::kWeight))
      for (const float y : members(ScaleSet::kActivation))
        for (int e = 1; e <= 6; ++e) {
          const auto m = static_cast<float>(std::ldexp(double{x} * double{w} / double{y}, -e));
          const auto top = static_cast<std::int64_t>(double{x} * double{w} * 16);  // Exact.
          const auto bottom = static_cast<std::int64_t>(double{y} * 16) << e;
          const auto most = static_cast<std::int64_t>(300.0 / static_cast<double>(m));
          for (std::int64_t acc = -most; acc <= most; ++acc) {
            const float f = std::nearbyint(static_cast<float>(acc) * m);
            ASSERT_EQ(static_cast<std::int64_t>(f), round_ratio(acc * top, bottom))
                << acc << " x " << x << " w " << w << " y " << y << " e " << e;
          }
        }
}

TEST(ShortScale, SumsOfTwoTermsRoundExactly) {
  for (const float a : members(ScaleSet::kActivation))
    for (const float b : members(ScaleSet::kActivation))
      for (int e = 0; e <= 2; ++e) {
        const float ra = std::ldexp(a, -e), rb = std::ldexp(b, -1);
        const auto top_a = static_cast<std::int64_t>(a * 2);
        const auto top_b = static_cast<std::int64_t>(b * 2);
        for (std::int64_t p = -255; p <= 255; ++p)
          for (std::int64_t q = -255; q <= 255; ++q) {
            const float f =
                std::nearbyint(std::fma(static_cast<float>(p), ra, static_cast<float>(q) * rb));
            ASSERT_EQ(static_cast<std::int64_t>(f),
                      round_ratio(p * top_a * 2 + (q * top_b << e), std::int64_t{4} << e));
          }
      }
}

TEST(ShortScale, MapsOfRangesCompeteOnTheHistogram) {
  const RangeTarget target{{0, 255}, false, ScaleSet::kActivation};
  TensorObserver observer;
  std::vector<float> x;
  for (int i = 0; i < 4096; ++i) x.push_back(static_cast<float>(i % 1000) * 0.001f);
  x.push_back(1.01f);  // Alone outside of the finer scale.
  ASSERT_TRUE(observer.observe(x).has_value());
  observer.end_sample();
  const Histogram& h = observer.stats().histogram;
  const Range range{0.0f, 1.01f};
  const Affine covering = *map_of(range, target), best = *map_of(range, target, &h);
  EXPECT_EQ(covering.scale, 0x1.8p-8f);
  EXPECT_EQ(best.scale, 0x1p-8f);
  EXPECT_LT(expected_squared_error(h, best), expected_squared_error(h, covering));
}

TEST(ShortScale, ScalesOfWeightsTakeTheBetterNeighbour) {
  WeightOptions options;
  options.scales = ScaleSet::kWeight;
  std::vector<float> w;
  for (int i = 0; i < 200; ++i) w.push_back(static_cast<float>((i * 37) % 101 - 50) / 50.0f);
  const AxisView view{1, 1, w.size()};
  const float s = (*choose_weight_scales(w, view, {}, 1.0f, options))[0];
  const float widest = 1.0f / 127;
  const auto error = [&](float scale) {
    double sum = 0;
    for (const float v : w) {
      const double q = std::clamp(std::nearbyint(double{v} / double{scale}), -127.0, 127.0);
      sum += std::pow(double{v} - q * double{scale}, 2);
    }
    return sum;
  };
  const float above = scale_above(widest, ScaleSet::kWeight);
  const float below = scale_below(widest, ScaleSet::kWeight);
  EXPECT_EQ(s, error(below) < error(above) ? below : above);
  // An int32 bias that needs a larger scale gets one, of the set too.
  const std::vector<float> bias{1.3f * 0x1p24f};
  const float raised = (*choose_weight_scales(w, view, bias, 1.0f, options))[0];
  EXPECT_EQ(raised, std::max(s, scale_above(1.3f * 0x1p-6f, ScaleSet::kWeight)));
}

}  // namespace
}  // namespace intact
