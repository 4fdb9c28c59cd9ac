#include "quant/rounding.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "quant/cholesky.h"
#include "quant/test_values.h"

namespace intact {
namespace {

using Matrix = std::vector<std::vector<long double>>;

std::vector<double> random_matrix(std::uint64_t seed, std::size_t n) {
  test::Random r(seed);
  std::vector<double> m(n);
  for (auto& v : m) v = r.normal();
  return m;
}

// Correlated inputs, as neighbouring pixels are: [rows, k].
std::vector<double> random_inputs(std::uint64_t seed, std::size_t rows, std::size_t k) {
  test::Random r(seed);
  std::vector<double> x(rows * k);
  for (std::size_t i = 0; i < rows; ++i) {
    const double common = r.normal();
    for (std::size_t j = 0; j < k; ++j) {
      x[i * k + j] = (common + r.normal()) * (1.0 + static_cast<double>(j % 5)) + 0.3;
    }
  }
  return x;
}

std::vector<double> moment(const std::vector<double>& x, const std::vector<double>& y,
                           std::size_t k) {
  std::vector<double> h(k * k, 0.0);
  for (std::size_t r = 0; r < x.size() / k; ++r) {
    for (std::size_t i = 0; i < k; ++i) {
      for (std::size_t j = 0; j < k; ++j) h[i * k + j] += x[r * k + i] * y[r * k + j];
    }
  }
  return h;
}

// Gauss-Jordan in long double.
Matrix inverse(Matrix a) {
  const std::size_t n = a.size();
  Matrix b(n, std::vector<long double>(n, 0.0L));
  for (std::size_t i = 0; i < n; ++i) b[i][i] = 1.0L;
  for (std::size_t c = 0; c < n; ++c) {
    std::size_t p = c;
    for (std::size_t i = c; i < n; ++i) {
      if (std::fabs(a[i][c]) > std::fabs(a[p][c])) p = i;
    }
    std::swap(a[c], a[p]);
    std::swap(b[c], b[p]);
    const long double pivot = a[c][c];
    for (std::size_t j = 0; j < n; ++j) a[c][j] /= pivot, b[c][j] /= pivot;
    for (std::size_t i = 0; i < n; ++i) {
      const long double f = i == c ? 0.0L : a[i][c];
      for (std::size_t j = 0; f != 0.0L && j < n; ++j) {
        a[i][j] -= f * a[c][j];
        b[i][j] -= f * b[c][j];
      }
    }
  }
  return b;
}

// Optimal brain quantization from its definition (Frantar and Alistarh 2022, equations 2 and 3):
// round one weight, move the rest to the optimum, drop the row from the inverse; in long double.
std::vector<int> reference_codes(std::vector<long double> w, long double s, const Matrix& h,
                                 const std::vector<std::size_t>& order, int lo, int hi) {
  Matrix inv = inverse(h);
  std::vector<int> q(w.size());
  for (std::size_t step = 0; step < order.size(); ++step) {
    const std::size_t k = order[step];
    const long double code =
        std::fmin(std::fmax(std::nearbyint(w[k] / s), static_cast<long double>(lo)),
                  static_cast<long double>(hi));
    q[k] = static_cast<int>(code);
    const long double error = (w[k] - s * code) / inv[k][k];
    for (std::size_t later = step + 1; later < order.size(); ++later) {
      w[order[later]] -= error * inv[k][order[later]];
    }
    const std::vector<long double> row = inv[k];
    for (std::size_t i = 0; i < w.size(); ++i) {
      for (std::size_t j = 0; j < w.size(); ++j) inv[i][j] -= row[i] * row[j] / row[k];
    }
  }
  return q;
}

TEST(RoundWithFeedback, EqualsOptimalBrainQuantization) {
  for (const std::size_t k : {1u, 2u, 7u, 64u, 65u, 130u}) {
    for (const bool by_energy : {true, false}) {
      const std::size_t n = 5;
      const auto x = random_inputs(k, 3 * k + 5, k);
      const auto h = moment(x, x, k);
      const auto w = random_matrix(k + 1, n * k);
      std::vector<double> scales(n);
      for (std::size_t c = 0; c < n; ++c) {
        double peak = 0.0;
        for (std::size_t i = 0; i < k; ++i) peak = std::fmax(peak, std::fabs(w[c * k + i]));
        scales[c] = peak / 7.0;
      }
      RoundingOptions options;
      options.codes = {-7, 7};
      options.by_energy = by_energy;
      std::vector<std::int8_t> codes(n * k);
      ThreadPool pool(2);
      ASSERT_TRUE(round_with_feedback(w, scales, h, codes, options, by_energy ? &pool : nullptr));
      Matrix damped(k, std::vector<long double>(k));
      long double trace = 0.0L;
      for (std::size_t i = 0; i < k; ++i) trace += static_cast<long double>(h[i * k + i]);
      for (std::size_t i = 0; i < k; ++i) {
        for (std::size_t j = 0; j < k; ++j) damped[i][j] = static_cast<long double>(h[i * k + j]);
        damped[i][i] += 0.01L * trace / static_cast<long double>(k);
      }
      std::vector<std::size_t> order(k);
      std::iota(order.begin(), order.end(), std::size_t{0});
      if (by_energy) {
        std::sort(order.begin(), order.end(),
                  [&](std::size_t a, std::size_t b) { return h[a * k + a] > h[b * k + b]; });
      }
      for (std::size_t c = 0; c < n; ++c) {
        std::vector<long double> row(w.begin() + static_cast<std::ptrdiff_t>(c * k),
                                     w.begin() + static_cast<std::ptrdiff_t>((c + 1) * k));
        const auto expected =
            reference_codes(row, static_cast<long double>(scales[c]), damped, order, -7, 7);
        for (std::size_t i = 0; i < k; ++i) {
          ASSERT_EQ(static_cast<int>(codes[c * k + i]), expected[i])
              << "k " << k << " channel " << c << " input " << i;
        }
      }
    }
  }
}

TEST(RoundWithFeedback, LowersTheOutputErrorOfRoundingToNearest) {
  constexpr std::size_t n = 24, k = 96;
  const auto x = random_inputs(3, 400, k);
  const auto h = moment(x, x, k);
  const auto w = random_matrix(4, n * k);
  const std::vector<double> scales(n, 0.5);
  std::vector<std::int8_t> codes(n * k);
  RoundingOptions options;
  options.codes = {-7, 7};
  ASSERT_TRUE(round_with_feedback(w, scales, h, codes, options));
  std::vector<double> fed(n * k), nearest(n * k);
  for (std::size_t i = 0; i < n * k; ++i) {
    fed[i] = 0.5 * codes[i];
    nearest[i] = 0.5 * std::fmin(std::fmax(std::nearbyint(w[i] / 0.5), -7.0), 7.0);
  }
  const auto sum = [&](const std::vector<double>& w_hat) {
    const auto e = output_error(w, w_hat, h, n);
    return std::accumulate(e.begin(), e.end(), 0.0);
  };
  EXPECT_LT(sum(fed), 0.7 * sum(nearest));
  // (16) is what the inputs themselves say.
  double direct = 0.0;
  for (std::size_t r = 0; r < x.size() / k; ++r) {
    for (std::size_t c = 0; c < n; ++c) {
      double y = 0.0;
      for (std::size_t i = 0; i < k; ++i) y += (w[c * k + i] - fed[c * k + i]) * x[r * k + i];
      direct += y * y;
    }
  }
  EXPECT_NEAR(sum(fed), direct, direct * 1e-9);
}

TEST(RoundWithFeedback, DegeneratesToNearestAndIgnoresScaleAndThreads) {
  constexpr std::size_t n = 40, k = 70;
  const auto w = random_matrix(5, n * k);
  const std::vector<double> scales(n, 0.03);
  std::vector<std::int8_t> zero(n * k), diagonal(n * k);
  const std::vector<double> none(k * k, 0.0);
  std::vector<double> eye(k * k, 0.0);
  for (std::size_t i = 0; i < k; ++i) eye[i * k + i] = 1.0 + static_cast<double>(i);
  ASSERT_TRUE(round_with_feedback(w, scales, none, zero));
  ASSERT_TRUE(round_with_feedback(w, scales, eye, diagonal));
  for (std::size_t i = 0; i < w.size(); ++i) {
    const auto nearest =
        static_cast<std::int8_t>(std::fmin(std::fmax(std::nearbyint(w[i] / 0.03), -127.0), 127.0));
    EXPECT_EQ(zero[i], nearest);
    EXPECT_EQ(diagonal[i], nearest);
  }
  const auto x = random_inputs(6, 200, k);
  auto h = moment(x, x, k);
  std::vector<std::int8_t> one(n * k), two(n * k);
  ASSERT_TRUE(round_with_feedback(w, scales, h, one));
  for (auto& v : h) v *= 1024.0;
  ThreadPool pool(3);
  ASSERT_TRUE(round_with_feedback(w, scales, h, two, {}, &pool));
  EXPECT_EQ(one, two);
}

TEST(RoundWithFeedback, RefusesBadMoments) {
  const std::vector<double> w{1.0, 2.0};
  const std::vector<double> s{0.1};
  std::vector<std::int8_t> codes(2);
  EXPECT_FALSE(round_with_feedback(w, s, std::vector<double>{1.0, 9.0, 9.0, 1.0}, codes));
  EXPECT_FALSE(round_with_feedback(w, s, std::vector<double>{1.0, NAN, NAN, 1.0}, codes));
  EXPECT_FALSE(round_with_feedback(std::vector<double>{1.0, INFINITY}, s,
                                   std::vector<double>{1.0, 0.0, 0.0, 1.0}, codes));
}

TEST(Cholesky, ReproducesTheMatrix) {
  for (const std::size_t n : {1u, 63u, 64u, 65u, 200u}) {
    const auto x = random_inputs(n, n + 10, n);
    auto a = moment(x, x, n);
    for (std::size_t i = 0; i < n; ++i) a[i * n + i] += 1.0;
    auto l = a;
    auto l2 = a;
    ThreadPool pool(2);
    ASSERT_TRUE(cholesky(l, n));
    ASSERT_TRUE(cholesky(l2, n, &pool));
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j <= i; ++j) {
        ASSERT_EQ(l[i * n + j], l2[i * n + j]);
        long double sum = 0.0L, size = 0.0L;
        for (std::size_t k = 0; k <= j; ++k) {
          const long double p =
              static_cast<long double>(l[i * n + k]) * static_cast<long double>(l[j * n + k]);
          sum += p;
          size += std::fabs(p);
        }
        // Backward error of Cholesky: (n + 1) eps |L| |L^T| elementwise (Higham, theorem 10.3).
        EXPECT_LE(std::fabs(sum - static_cast<long double>(a[i * n + j])),
                  static_cast<long double>(n + 1) * 0x1p-52L * size);
      }
    }
  }
}

PageVector<double> pages(const std::vector<double>& x) { return {x.begin(), x.end()}; }

TEST(RefitWeights, IsTheMinimumOfItsObjective) {
  constexpr std::size_t n = 70, k = 33, rows = 300;
  const auto x = random_inputs(8, rows, k);
  auto x_hat = x;
  test::Random r(9);
  for (auto& v : x_hat) v = std::nearbyint(0.9 * v + 0.1 * r.normal());
  const auto h = moment(x_hat, x_hat, k);
  const auto c = moment(x, x_hat, k);
  const auto w = random_matrix(10, n * k);
  const double ridge = 0.02;
  ThreadPool pool(2);
  const auto t = refit_weights(w, pages(h), pages(c), ridge, &pool);
  ASSERT_TRUE(t);
  EXPECT_EQ(*t, *refit_weights(w, pages(h), pages(c), ridge));
  double l = 0.0;
  for (std::size_t i = 0; i < k; ++i) l += ridge * h[i * k + i] / k;
  const auto objective = [&](std::span<const double> m) {
    long double sum = 0.0L;
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t o = 0; o < n; ++o) {
        long double y = 0.0L;
        for (std::size_t i = 0; i < k; ++i) {
          y +=
              static_cast<long double>(w[o * k + i]) * static_cast<long double>(x[row * k + i]) -
              static_cast<long double>(m[o * k + i]) * static_cast<long double>(x_hat[row * k + i]);
        }
        sum += y * y;
      }
    }
    for (std::size_t i = 0; i < m.size(); ++i) {
      const auto d = static_cast<long double>(m[i] - w[i]);
      sum += static_cast<long double>(l) * d * d;
    }
    return sum;
  };
  const long double least = objective(*t);
  EXPECT_LT(least, 0.9L * objective(w));
  for (int i = 0; i < 20; ++i) {
    auto other = *t;
    other[r.below(other.size())] += 1e-3 * r.normal();
    EXPECT_GT(objective(other), least);
  }
}

TEST(RefitWeights, LeavesWeightsOfUndisturbedInputs) {
  constexpr std::size_t n = 3, k = 20;
  const auto x = random_inputs(12, 60, k);
  const auto h = moment(x, x, k);
  const auto w = random_matrix(13, n * k);
  const auto t = refit_weights(w, pages(h), pages(h), 1e-3);
  ASSERT_TRUE(t);
  for (std::size_t i = 0; i < w.size(); ++i) EXPECT_NEAR((*t)[i], w[i], 1e-9);
}

}  // namespace
}  // namespace intact
