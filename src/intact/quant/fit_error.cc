#include "quant/fit_error.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "quant/cholesky.h"
#include "quant/vector_clones.h"

namespace intact {
namespace {

constexpr std::size_t kTaskRows = 16;

// y[n] = sum_k x[k] wt[k, n], inputs in fours.
INTACT_VECTOR_CLONES
void one_row(const float* x, const float* wt, std::size_t k, std::size_t n,
             float* __restrict y) noexcept {
  for (std::size_t j = 0; j < n; ++j) y[j] = 0.0f;
  std::size_t i = 0;
  for (; i + 4 <= k; i += 4) {
    const float* w0 = wt + i * n;
    const float* w1 = w0 + n;
    const float* w2 = w1 + n;
    const float* w3 = w2 + n;
    const float x0 = x[i], x1 = x[i + 1], x2 = x[i + 2], x3 = x[i + 3];
    for (std::size_t j = 0; j < n; ++j) {
      y[j] += (x0 * w0[j] + x1 * w1[j]) + (x2 * w2[j] + x3 * w3[j]);
    }
  }
  for (; i < k; ++i) {
    const float* w0 = wt + i * n;
    const float x0 = x[i];
    for (std::size_t j = 0; j < n; ++j) y[j] += x0 * w0[j];
  }
}

std::vector<float> transposed(std::span<const float> w, std::size_t k) {
  const std::size_t n = w.size() / k;
  std::vector<float> t(w.size());
  for (std::size_t o = 0; o < n; ++o) {
    for (std::size_t i = 0; i < k; ++i) t[i * n + o] = w[o * k + i];
  }
  return t;
}

std::size_t count_of(std::size_t values, std::size_t k) {
  INTACT_CHECK(k > 0 && values % k == 0, "{} values in rows of {}", values, k);
  return values / k;
}

}  // namespace

double FitError::relative() const noexcept {
  if (signal > 0.0) return error / signal;
  return error > 0.0 ? std::numeric_limits<double>::infinity() : 0.0;
}

FitReference::FitReference(std::span<const float> w, std::span<const float> x, std::size_t k,
                           ThreadPool* pool)
    : k_(k), n_(count_of(w.size(), k)), rows_(count_of(x.size(), k)), outputs_(rows_ * n_) {
  const std::vector<float> wt = transposed(w, k);
  run_tasks(pool, (rows_ + kTaskRows - 1) / kTaskRows, [&](std::size_t t) {
    for (std::size_t r = t * kTaskRows; r < std::min(rows_, (t + 1) * kTaskRows); ++r) {
      one_row(x.data() + r * k_, wt.data(), k_, n_, outputs_.data() + r * n_);
    }
  });
}

FitError FitReference::compare(std::span<const float> w_hat, std::span<const float> x_hat,
                               std::span<const float> bias_change, ThreadPool* pool) const {
  INTACT_CHECK(w_hat.size() == n_ * k_ && x_hat.size() == rows_ * k_ &&
                   (bias_change.empty() || bias_change.size() == n_),
               "{} weights, {} inputs and {} biases against [{}, {}] over {} rows", w_hat.size(),
               x_hat.size(), bias_change.size(), n_, k_, rows_);
  const std::vector<float> wt = transposed(w_hat, k_);
  std::vector<FitError> parts(rows_);
  run_tasks(pool, (rows_ + kTaskRows - 1) / kTaskRows, [&](std::size_t t) {
    std::vector<float> y(n_);
    for (std::size_t r = t * kTaskRows; r < std::min(rows_, (t + 1) * kTaskRows); ++r) {
      one_row(x_hat.data() + r * k_, wt.data(), k_, n_, y.data());
      FitError sum;
      for (std::size_t o = 0; o < n_; ++o) {
        const auto target = static_cast<double>(outputs_[r * n_ + o]);
        const double change = bias_change.empty() ? 0.0 : static_cast<double>(bias_change[o]);
        const double d = target - static_cast<double>(y[o]) + change;
        sum.signal += target * target;
        sum.error += d * d;
      }
      parts[r] = sum;
    }
  });
  FitError total;
  for (const FitError& part : parts) {
    total.signal += part.signal;
    total.error += part.error;
  }
  return total;
}

}  // namespace intact
