#include <gtest/gtest.h>

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <vector>

#include "base/fp_env.h"
#include "base/half.h"
#include "base/hash.h"
#include "base/round.h"
#include "base/shape.h"
#include "base/tensor.h"

namespace intact {
namespace {

TEST(RoundHalfEven, TiesGoToEven) {
  EXPECT_EQ(round_half_even(0.5), 0.0);
  EXPECT_EQ(round_half_even(1.5), 2.0);
  EXPECT_EQ(round_half_even(2.5f), 2.0f);
  EXPECT_EQ(round_half_even(-0.5), 0.0);
  EXPECT_EQ(round_half_even(-1.5), -2.0);
  EXPECT_EQ(round_half_even(0.49999999999999994), 0.0);
}

TEST(RoundHalfEven, DoesNotDependOnTheCallersMode) {
  std::fesetround(FE_UPWARD);
  const double up = round_half_even(2.25);
  std::fesetround(FE_TONEAREST);
  EXPECT_EQ(up, 2.0);
}

TEST(Half, EveryCodeSurvivesTheRoundTrip) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float x = float_from_half(static_cast<std::uint16_t>(bits));
    if (std::isnan(x)) {
      EXPECT_TRUE(std::isnan(float_from_half(half_from_float(x))));
    } else {
      EXPECT_EQ(half_from_float(x), bits);
    }
  }
}

TEST(Half, TiesGoToEvenAndOverflowGoesToInfinity) {
  EXPECT_EQ(half_from_float(1.0f + 0x1p-11f), half_from_float(1.0f));
  EXPECT_EQ(half_from_float(1.0f + 3 * 0x1p-11f), half_from_float(1.0f + 0x1p-9f));
  EXPECT_EQ(half_from_float(65519.0f), half_from_float(65504.0f));
  EXPECT_EQ(half_from_float(65520.0f), 0x7C00);
  EXPECT_EQ(half_from_float(0x1p-25f), 0);
  EXPECT_EQ(half_from_float(std::nextafter(0x1p-25f, 1.0f)), 1);
}

TEST(CheckShape, RefusesWhatWouldOverflow) {
  EXPECT_TRUE(check_shape(Shape{3, 0, 7}).has_value());
  EXPECT_FALSE(check_shape(Shape{-1, 2}).has_value());
  EXPECT_FALSE(check_shape(Shape{std::int64_t{1} << 40, 2}).has_value());
  EXPECT_FALSE(check_shape(Shape(17, 1)).has_value());
  EXPECT_FALSE(check_shape(Shape{std::int64_t{1} << 30, std::int64_t{1} << 30, 0}).has_value());
  EXPECT_FALSE(check_shape(Shape{0, std::int64_t{1} << 30, std::int64_t{1} << 30}).has_value());
  EXPECT_TRUE(check_shape(Shape{0, std::int64_t{1} << 40}).has_value());
}

TEST(Broadcast, FollowsNumpy) {
  EXPECT_EQ(*broadcast(Shape{2, 1, 4}, Shape{3, 1}), (Shape{2, 3, 4}));
  EXPECT_EQ(*broadcast(Shape{}, Shape{5}), (Shape{5}));
  EXPECT_EQ(*broadcast(Shape{1}, Shape{0}), (Shape{0}));
  EXPECT_FALSE(broadcast(Shape{2}, Shape{3}).has_value());
}

TEST(Tensor, ConvertsFourBitCodes) {
  const Tensor t = from_float64(Dtype::kInt4, {3}, std::vector<double>{-8, 7, -1});
  EXPECT_EQ(t.bytes(), 2u);
  EXPECT_EQ(to_int64(t), (std::vector<std::int64_t>{-8, 7, -1}));
}

TEST(Tensor, ConversionSaturates) {
  const Tensor t = from_float64(Dtype::kUint8, {4}, std::vector<double>{-3, 300, 2.5, NAN});
  EXPECT_EQ(to_int64(t), (std::vector<std::int64_t>{0, 255, 2, 0}));
}

TEST(ScopedFpEnv, RestoresTheCallersMode) {
  std::fesetround(FE_UPWARD);
  {
    const ScopedFpEnv fp;
    volatile double one = 1.0;
    EXPECT_EQ(one + 0x1p-60, 1.0);
  }
  EXPECT_EQ(std::fegetround(), FE_UPWARD);
  std::fesetround(FE_TONEAREST);
}

TEST(Buffer, OfMisalignedBytesIsCopiedWhenItIsRead) {
  std::vector<std::byte> memory(4 * 5 + 1);
  const auto odd = std::span(memory).subspan(1);
  const std::vector<float> values{1, 2, 3, -4, 5};
  std::memcpy(odd.data(), values.data(), odd.size());
  const Tensor t(Dtype::kFloat32, {5}, Buffer::wrap_misaligned(Buffer::wrap(odd, nullptr)));
  EXPECT_EQ(t.stored().data(), odd.data());
  const Tensor once = t.aligned();
  EXPECT_TRUE(std::ranges::equal(once.values<float>(), values));
  EXPECT_FALSE(t.buffer()->is_copied());
  EXPECT_TRUE(std::ranges::equal(t.values<float>(), values));
  EXPECT_TRUE(t.buffer()->is_copied());
  EXPECT_EQ(t.raw(), t.raw());
  EXPECT_EQ(t.aligned().raw(), t.raw());
}

// Every byte, its place, the number of bytes and the seed count; over whole blocks and the rest.
TEST(Hash, OfLargeDataDependsOnEveryByteAndItsPlace) {
  std::vector<std::byte> data(128 * 2 + 13);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 7 + 1);
  std::set<std::uint64_t> seen{hash_large(data)};
  std::size_t count = 1;
  const auto is_new = [&](std::span<const std::byte> bytes, std::uint64_t seed) {
    seen.insert(hash_large(bytes, seed));
    EXPECT_EQ(seen.size(), ++count);
  };
  is_new(data, 1);
  for (std::size_t i = 0; i < data.size(); ++i) {
    is_new(std::span(data).first(i), 0);
    data[i] ^= std::byte{1};
    is_new(data, 0);
    data[i] ^= std::byte{1};
  }
  for (const std::size_t apart : {8, 16, 128}) {  // Words that change places.
    std::swap_ranges(data.begin(), data.begin() + 8,
                     data.begin() + static_cast<std::ptrdiff_t>(apart));
    is_new(data, 0);
  }
}

}  // namespace
}  // namespace intact
