#include "quant/moments.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "quant/test_values.h"

namespace intact {
namespace {

std::vector<float> random_rows(std::uint64_t seed, std::size_t n) {
  test::Random r(seed);
  std::vector<float> x(n);
  for (auto& v : x) v = static_cast<float>(r.normal() + 0.25);
  return x;
}

TEST(Moments, EqualTheirSumsWithinTheStatedError) {
  for (const std::size_t k : {1u, 3u, 16u, 17u, 70u}) {
    for (const std::size_t rows : {1u, 31u, 32u, 100u}) {
      const auto x = random_rows(k, rows * k);
      const auto y = random_rows(k + 1, rows * k);
      std::vector<double> h(k * k, 0.0), c(k * k, 0.0), m(k, 0.0);
      add_second_moment(x, k, h);
      add_cross_moment(y, x, k, c);
      add_sums(x, k, m);
      for (std::size_t i = 0; i < k; ++i) {
        long double sum = 0.0L;
        for (std::size_t r = 0; r < rows; ++r) sum += static_cast<long double>(x[r * k + i]);
        EXPECT_NEAR(m[i], static_cast<double>(sum), 1e-12);
        for (std::size_t j = 0; j < k; ++j) {
          long double hh = 0.0L, cc = 0.0L, h_size = 0.0L, c_size = 0.0L;
          for (std::size_t r = 0; r < rows; ++r) {
            const auto a = static_cast<long double>(x[r * k + i]);
            const auto b = static_cast<long double>(x[r * k + j]);
            const auto d = static_cast<long double>(y[r * k + i]);
            hh += a * b, h_size += std::fabs(a * b);
            cc += d * b, c_size += std::fabs(d * b);
          }
          // Each product is rounded once and passes through at most 32 additions in float.
          constexpr long double bound = 33.0L * 0x1p-24L;
          EXPECT_LE(std::fabs(static_cast<long double>(h[i * k + j]) - hh), bound * h_size);
          EXPECT_LE(std::fabs(static_cast<long double>(c[i * k + j]) - cc), bound * c_size);
          EXPECT_EQ(h[i * k + j], h[j * k + i]);
        }
      }
    }
  }
}

TEST(Moments, DoNotDependOnThreads) {
  constexpr std::size_t k = 50;
  const auto x = random_rows(1, 200 * k);
  std::vector<double> one(k * k, 0.0), three(k * k, 0.0);
  ThreadPool pool(3);
  add_second_moment(x, k, one);
  add_second_moment(x, k, three, &pool);
  EXPECT_EQ(one, three);
}

TEST(CentreMoment, GivesTheMomentOfCentredRows) {
  constexpr std::size_t k = 5, rows = 64;
  const auto x = random_rows(1, rows * k);
  const auto y = random_rows(2, rows * k);
  std::vector<double> c(k * k, 0.0), mx(k, 0.0), my(k, 0.0);
  add_cross_moment(y, x, k, c);
  add_sums(x, k, mx);
  add_sums(y, k, my);
  centre_moment(c, my, mx, rows);
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j < k; ++j) {
      double sum = 0.0;
      for (std::size_t r = 0; r < rows; ++r) {
        sum += (static_cast<double>(y[r * k + i]) - my[i] / rows) *
               (static_cast<double>(x[r * k + j]) - mx[j] / rows);
      }
      EXPECT_NEAR(c[i * k + j], sum, 1e-3);  // 64 float products of magnitude below 16.
    }
  }
}

}  // namespace
}  // namespace intact
