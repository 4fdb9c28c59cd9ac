#include "kernels/near_activation.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/isa/f32_scalar.h"
#include "kernels/unary_f32.inl.h"

namespace intact {
namespace {

// Equation (3) at every 509th float, and at both neighbours of each segment's ends.
TEST(NearActivation, IsAsNearAsItSays) {
  for (const UnaryOp op :
       {UnaryOp::kGelu, UnaryOp::kGeluTanh, UnaryOp::kSilu, UnaryOp::kSoftplus}) {
    const NearActivation* table = near_activation(op);
    ASSERT_NE(table, nullptr);
    const NearActivationOn<ScalarF32> near(*table);
    const auto check = [&](float x) {
      float y = 0.0f;
      with_activation<ScalarF32>({op}, [&](auto g) { y = g(x); });
      const double error = std::fabs(static_cast<double>(near(x)) - static_cast<double>(y));
      const double bound =
          static_cast<double>(NearActivation::kError) + 0x1p-23 * std::fabs(static_cast<double>(y));
      ASSERT_LE(error, bound) << "op " << int(op) << " at " << x;
    };
    for (std::uint64_t bits = 0; bits < std::uint64_t{1} << 32; bits += 509) {
      const float x = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
      if (std::isfinite(x)) check(x);
    }
    for (int i = 0; i <= NearActivation::kSegments; ++i) {
      const auto v = static_cast<float>(1 << (i / 8)) * (1.0f + static_cast<float>(i % 8) / 8);
      const auto end = (v - 1) / table->step;
      for (const float x : {std::nextafter(end, -1.0f), end, std::nextafter(end, 99.0f)}) {
        check(x);
        check(-x);
      }
    }
  }
}

TEST(NearActivation, IsOnlyForRampsWithAnEvenRest) {
  EXPECT_EQ(near_activation(UnaryOp::kSigmoid), nullptr);
  EXPECT_EQ(near_activation(UnaryOp::kHardSwish), nullptr);
}

}  // namespace
}  // namespace intact
