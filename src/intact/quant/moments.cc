#include "quant/moments.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "quant/cholesky.h"
#include "quant/vector_clones.h"

namespace intact {
namespace {

constexpr std::size_t kTaskRows = 16;  // Rows of the moment that one task fills.

// out[j] += sum_r y[r * k] x[r * k + j] for j < n, rows in fours, in float; then into double.
INTACT_VECTOR_CLONES
void add_group(const float* y, const float* x, std::size_t rows, std::size_t k, std::size_t n,
               float* __restrict sum, double* __restrict out) noexcept {
  for (std::size_t j = 0; j < n; ++j) sum[j] = 0.0f;
  std::size_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const float* x0 = x + r * k;
    const float* x1 = x0 + k;
    const float* x2 = x1 + k;
    const float* x3 = x2 + k;
    const float y0 = y[r * k], y1 = y[(r + 1) * k], y2 = y[(r + 2) * k], y3 = y[(r + 3) * k];
    for (std::size_t j = 0; j < n; ++j) {
      sum[j] += (y0 * x0[j] + y1 * x1[j]) + (y2 * x2[j] + y3 * x3[j]);
    }
  }
  for (; r < rows; ++r) {
    const float* x0 = x + r * k;
    const float y0 = y[r * k];
    for (std::size_t j = 0; j < n; ++j) sum[j] += y0 * x0[j];
  }
  for (std::size_t j = 0; j < n; ++j) out[j] += static_cast<double>(sum[j]);
}

// Adds sum_r y_r x_r^T; with lower only columns <= row.
void add_products(std::span<const float> y, std::span<const float> x, std::size_t k, bool lower,
                  std::span<double> out, ThreadPool* pool) {
  INTACT_CHECK(k > 0 && x.size() % k == 0 && y.size() == x.size() && out.size() == k * k,
               "moments of {} and {} values over {} inputs into {}", y.size(), x.size(), k,
               out.size());
  const std::size_t rows = x.size() / k;
  run_tasks(pool, (k + kTaskRows - 1) / kTaskRows, [&](std::size_t t) {
    std::vector<float> sum(k);
    for (std::size_t from = 0; from < rows; from += kMomentRows) {
      const std::size_t n = std::min(kMomentRows, rows - from);
      for (std::size_t i = t * kTaskRows; i < std::min(k, (t + 1) * kTaskRows); ++i) {
        add_group(y.data() + from * k + i, x.data() + from * k, n, k, lower ? i + 1 : k, sum.data(),
                  out.data() + i * k);
      }
    }
  });
}

}  // namespace

void add_second_moment(std::span<const float> x, std::size_t k, std::span<double> h,
                       ThreadPool* pool) {
  add_products(x, x, k, /*lower=*/true, h, pool);
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j < i; ++j) h[j * k + i] = h[i * k + j];
  }
}

void add_cross_moment(std::span<const float> y, std::span<const float> x, std::size_t k,
                      std::span<double> c, ThreadPool* pool) {
  add_products(y, x, k, /*lower=*/false, c, pool);
}

void add_sums(std::span<const float> x, std::size_t k, std::span<double> m) {
  INTACT_CHECK(k > 0 && x.size() % k == 0 && m.size() == k, "sums of {} values over {} into {}",
               x.size(), k, m.size());
  for (std::size_t r = 0; r < x.size(); r += k) {
    for (std::size_t j = 0; j < k; ++j) m[j] += static_cast<double>(x[r + j]);
  }
}

void centre_moment(std::span<double> moment, std::span<const double> row_sums,
                   std::span<const double> column_sums, double count) {
  const std::size_t k = column_sums.size();
  INTACT_CHECK(row_sums.size() == k && moment.size() == k * k && count > 0.0,
               "centring a moment of {} with {} and {} sums of {} rows", moment.size(),
               row_sums.size(), k, count);
  for (std::size_t i = 0; i < k; ++i) {
    const double mean = row_sums[i] / count;
    for (std::size_t j = 0; j < k; ++j) moment[i * k + j] -= mean * column_sums[j];
  }
}

}  // namespace intact
