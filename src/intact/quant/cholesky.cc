#include "quant/cholesky.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "quant/vector_clones.h"

namespace intact {
namespace {

constexpr std::size_t kPanel = 64;     // Columns factored at a time.
constexpr std::size_t kRowTask = 32;   // Rows of the trailing matrix a task updates.
constexpr std::size_t kColumns = 512;  // Columns per sweep: panel and sweep fit the cache.

// x <- x L^-T.   x: [n]   lt: [n, n], L^T: its upper triangle
INTACT_VECTOR_CLONES
void solve_row(double* __restrict x, const double* lt, std::size_t n) noexcept {
  for (std::size_t k = 0; k < n; ++k) {
    const double* __restrict row = lt + k * n;
    const double v = x[k] / row[k];
    x[k] = v;
    for (std::size_t j = k + 1; j < n; ++j) x[j] -= v * row[j];
  }
}

}  // namespace

INTACT_VECTOR_CLONES
void add_rows(double* __restrict c, const double* factor, const double* m, std::size_t rows,
              std::size_t stride, std::size_t n) noexcept {
  std::size_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const double* __restrict m0 = m + r * stride;
    const double* __restrict m1 = m0 + stride;
    const double* __restrict m2 = m1 + stride;
    const double* __restrict m3 = m2 + stride;
    const double f0 = factor[r], f1 = factor[r + 1], f2 = factor[r + 2], f3 = factor[r + 3];
    for (std::size_t j = 0; j < n; ++j) {
      c[j] += (f0 * m0[j] + f1 * m1[j]) + (f2 * m2[j] + f3 * m3[j]);
    }
  }
  for (; r < rows; ++r) {
    const double* __restrict m0 = m + r * stride;
    const double f0 = factor[r];
    for (std::size_t j = 0; j < n; ++j) c[j] += f0 * m0[j];
  }
}

Status cholesky(std::span<double> a, std::size_t n, ThreadPool* pool) {
  std::vector<double> transposed(kPanel * n), diagonal(kPanel * kPanel);
  for (std::size_t b = 0; b < n; b += kPanel) {
    const std::size_t e = std::min(b + kPanel, n);
    const std::size_t width = e - b;
    // The diagonal block.
    for (std::size_t j = b; j < e; ++j) {
      double pivot = a[j * n + j];
      for (std::size_t k = b; k < j; ++k) pivot -= a[j * n + k] * a[j * n + k];
      if (!(pivot > 0.0) || !std::isfinite(pivot)) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("a matrix of second moments is not positive definite at row {} "
                                "(pivot {}); raise the damping",
                                j, pivot));
      }
      pivot = std::sqrt(pivot);
      a[j * n + j] = pivot;
      for (std::size_t i = j + 1; i < e; ++i) {
        double x = a[i * n + j];
        for (std::size_t k = b; k < j; ++k) x -= a[i * n + k] * a[j * n + k];
        a[i * n + j] = x / pivot;
      }
    }
    if (e == n) break;
    // The panel below it, and its transpose for the update. `diagonal`: L of the block, transposed,
    // so that the elements of a row of the panel advance side by side.
    for (std::size_t k = b; k < e; ++k) {
      for (std::size_t j = k; j < e; ++j) diagonal[(k - b) * width + (j - b)] = a[j * n + k];
    }
    const std::size_t below = n - e;
    const std::size_t tasks = (below + kRowTask - 1) / kRowTask;
    run_tasks(pool, tasks, [&](std::size_t t) {
      for (std::size_t i = e + t * kRowTask; i < std::min(n, e + (t + 1) * kRowTask); ++i) {
        solve_row(a.data() + i * n + b, diagonal.data(), width);
        for (std::size_t j = 0; j < width; ++j) transposed[j * below + (i - e)] = a[i * n + b + j];
      }
    });
    // Everything below and right: row i -= L[i, b..e] L[., b..e]^T, lower triangle only.
    run_tasks(pool, tasks, [&](std::size_t t) {
      double minus[kPanel];
      const std::size_t last = std::min(n, e + (t + 1) * kRowTask);
      for (std::size_t from = e; from < last; from += kColumns) {
        for (std::size_t i = std::max(from, e + t * kRowTask); i < last; ++i) {
          for (std::size_t k = 0; k < width; ++k) minus[k] = -a[i * n + b + k];
          const std::size_t to = std::min(from + kColumns, i + 1);
          add_rows(a.data() + i * n + from, minus, transposed.data() + (from - e), width, below,
                   to - from);
        }
      }
    });
  }
  return {};
}

}  // namespace intact
