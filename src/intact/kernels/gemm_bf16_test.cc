// The BF16 row against sums in double of operands rounded here, within (26).
#include "kernels/gemm_bf16.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

#include "kernels/guarded_memory.h"

namespace intact {
namespace {

// Rounds to 8 significant bits, ties to even, by arithmetic.
double rounded(float x) {
  int exponent = 0;
  const double fraction = std::frexp(static_cast<double>(x), &exponent);  // In [0.5, 1).
  return std::ldexp(std::nearbyint(std::ldexp(fraction, 8)), exponent - 8);
}

struct Problem {
  std::int64_t m, n, taps, k;  // k: of one tap.
};

void check(const Problem& p) {
  const GemmBf16Kernel& kernel = *gemm_bf16();
  std::mt19937 random(static_cast<unsigned>(p.m * 131 + p.n * 17 + p.taps * 5 + p.k));
  std::normal_distribution<float> normal;
  const std::int64_t pairs = pairs_of(p.k);
  const auto fill = [&](std::int64_t count) {
    std::vector<float> v(static_cast<std::size_t>(count));
    for (float& x : v) x = normal(random);
    return v;
  };
  // A: [m][taps][k], B: [taps][k][n].
  const std::vector<float> b = fill(p.taps * p.k * p.n), bias = fill(p.n);
  const std::vector<float> values = fill(p.m * p.taps * p.k);
  Guarded<float> a(p.m * p.taps * p.k);
  std::copy(values.begin(), values.end(), a.data());
  Guarded<float> a_pairs(p.m * p.taps * pairs);
  kernel.round(a.data(), p.m * p.taps, p.k, a_pairs.data());

  const GemmShape shape{p.n, p.taps, pairs};
  const std::vector<float> b_pairs = pairs_of_b({p.n, p.taps, p.k}, {b.data(), p.k * p.n, p.n, 1});
  Guarded<float> packed(packed_elems_f32(shape), 0, 64);
  kernel.product.pack_b(shape, {b_pairs.data(), pairs * p.n, p.n, 1}, 0, panels_of(p.n),
                        packed.data());
  Guarded<float> out(p.m * p.n);
  GemmF32Args args{.shape = shape, .packed = packed.data(), .out = out.data(), .out_stride = p.n};
  std::vector<const float*> rows;
  for (std::int64_t t = 0; t < p.taps; ++t)
    for (std::int64_t m = 0; m < p.m; ++m)
      rows.push_back(a_pairs.data() + (m * p.taps + t) * pairs);
  args.rows = rows.data();
  args.rows_stride = p.m;
  args.epilogue.bias = bias.data();
  args.row_end = p.m;
  args.panel_end = panels_of(p.n);
  kernel.product.run(args);

  for (std::int64_t m = 0; m < p.m; ++m)
    for (std::int64_t n = 0; n < p.n; ++n) {
      double sum = 0, size = 0;
      for (std::int64_t i = 0; i < p.taps * p.k; ++i) {
        const double product = rounded(values[static_cast<std::size_t>(m * p.taps * p.k + i)]) *
                               rounded(b[static_cast<std::size_t>(i * p.n + n)]);
        sum += product;
        size += std::abs(product);
      }
      const auto terms = static_cast<double>(p.taps * p.k);
      const double with_bias = sum + static_cast<double>(bias[static_cast<std::size_t>(n)]);
      // (26), and the addition of the bias.
      const double bound =
          (terms + 2) * 0x1p-23 * size + terms * 0x1p-125 + 0x1p-23 * std::abs(with_bias);
      ASSERT_NEAR(static_cast<double>(out.data()[m * p.n + n]), with_bias, bound)
          << fmt::format("m={} n={} taps={} k={} at {}, {}", p.m, p.n, p.taps, p.k, m, n);
    }
}

TEST(GemmBf16, IsTheSumOfRoundedOperands) {
  if (gemm_bf16() == nullptr) GTEST_SKIP() << "no BF16 row for this processor";
  for (const std::int64_t m : {1, 7, 8, 13, 29})
    for (const std::int64_t n : {1, 7, 8, 16, 24, 47, 48, 56, 113})
      for (const std::int64_t k : {1, 2, 8, 31, 64, 129}) check({m, n, 1, k});
}

TEST(GemmBf16, TakesTapsOfOddLength) {
  if (gemm_bf16() == nullptr) GTEST_SKIP() << "no BF16 row for this processor";
  for (const std::int64_t k : {1, 9, 16, 33}) check({11, 40, 9, k});
}

TEST(GemmBf16, RoundsHalfToEvenAndKeepsWhatIsNoNumber) {
  if (gemm_bf16() == nullptr) GTEST_SKIP() << "no BF16 row for this processor";
  const float x[] = {1.0f + 0x1p-8f, 1.0f + 0x1.8p-7f, -INFINITY, NAN, 0x1.fffffep127f};
  float pairs[3];
  gemm_bf16()->round(x, 1, 5, pairs);
  const auto half = [&](int i) {
    const auto word = std::bit_cast<std::uint32_t>(pairs[i / 2]);
    return i % 2 == 0 ? word & 0xffff : word >> 16;
  };
  EXPECT_EQ(half(0), 0x3f80u);  // Halfway: to even.
  EXPECT_EQ(half(1), 0x3f82u);
  EXPECT_EQ(half(2), 0xff80u);
  EXPECT_GT(half(3) & 0x7fffu, 0x7f80u);
  EXPECT_EQ(half(4), 0x7f80u);
  EXPECT_EQ(half(5), 0u);  // The odd end.
}

}  // namespace
}  // namespace intact
