#include "quant/rounding.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "quant/cholesky.h"

namespace intact {
namespace {

constexpr std::size_t kBlock = 64;       // Inputs whose feedback is applied together.
constexpr std::size_t kColumns = 512;    // Columns per sweep of that application.
constexpr std::size_t kChannels = 16;    // Output channels of one task.
constexpr std::size_t kSolveLanes = 32;  // Output channels solved side by side.
constexpr std::size_t kTile = 16;        // Rows and columns of a tile of a matrix to transpose.

bool all_finite(std::span<const double> x) {
  return std::all_of(x.begin(), x.end(), [](double v) { return std::isfinite(v); });
}

Status check_moment(std::span<const double> h, std::size_t k) {
  INTACT_CHECK(h.size() == k * k, "a second moment of {} values for {} inputs", h.size(), k);
  if (!all_finite(h)) {
    return fail(ErrorCode::kInvalidArgument, "a matrix of second moments is not finite");
  }
  return {};
}

double mean_diagonal(std::span<const double> h, std::size_t k) {
  double sum = 0.0;
  for (std::size_t i = 0; i < k; ++i) sum += h[i * k + i];
  return sum / static_cast<double>(k);
}

// Calls visit(i, j) for every i < j < k, tile by tile; a task has some of the rows i.
void for_tiles_above_diagonal(std::size_t k, ThreadPool* pool, const auto& visit) {
  run_tasks(pool, (k + kTile - 1) / kTile, [&](std::size_t t) {
    const std::size_t first = t * kTile;
    const std::size_t last = std::min(k, first + kTile);
    for (std::size_t from = first; from < k; from += kTile)
      for (std::size_t i = first; i < last; ++i)
        for (std::size_t j = std::max(i + 1, from); j < std::min(k, from + kTile); ++j) visit(i, j);
  });
}

// Returns the number of inputs of an [n, k] matrix of w values.
std::size_t inputs_of(std::size_t w, std::size_t h) {
  const auto k = static_cast<std::size_t>(std::llround(std::sqrt(static_cast<double>(h))));
  INTACT_CHECK(k > 0 && k * k == h && w % k == 0, "{} weights and a second moment of {}", w, h);
  return k;
}

// Returns the order in which codes are chosen, last first: position m holds input order[m].
std::vector<std::size_t> processing_order(std::span<const double> h, std::size_t k,
                                          bool by_energy) {
  std::vector<std::size_t> order(k);
  std::iota(order.rbegin(), order.rend(), std::size_t{0});
  if (by_energy) {
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return h[a * k + a] < h[b * k + b]; });
  }
  return order;
}

// The codes of one task's channels. Positions are processed from the last to the first; row m of
// the Cholesky factor L holds the feedback of position m on all positions before it.
class Feedback {
 public:
  Feedback(std::span<const double> factor, std::size_t k, std::span<const std::size_t> order,
           CodeRange codes)
      : factor_(factor), k_(k), order_(order), lo_(codes.lo), hi_(codes.hi) {}

  void run(std::span<const double> w, std::span<const double> scales, std::size_t first,
           std::size_t last, std::span<std::int8_t> codes) const {
    const std::size_t n = last - first;
    std::vector<double> carried(n * k_, 0.0);  // sum_{later m'} L[m', m] d_m' of each position m.
    std::vector<double> errors(n * kBlock);
    for (std::size_t e = k_; e > 0;) {
      const std::size_t b = e > kBlock ? e - kBlock : 0;
      for (std::size_t c = 0; c < n; ++c) {
        const double s = scales[first + c];
        double* carry = carried.data() + c * k_;
        for (std::size_t m = e; m-- > b;) {
          const double* row = factor_.data() + m * k_;
          const std::size_t at = (first + c) * k_ + order_[m];
          const double target = w[at] + carry[m] / row[m];
          double q = std::clamp(target / s, lo_, hi_);
          q = (q + 0x1.8p52) - 0x1.8p52;  // Half to even; |q| <= 128.
          codes[at] = static_cast<std::int8_t>(q);
          const double d = w[at] - s * q;
          errors[c * kBlock + (m - b)] = d;
          for (std::size_t j = b; j < m; ++j) carry[j] += d * row[j];
        }
      }
      for (std::size_t from = 0; from < b; from += kColumns) {
        const std::size_t width = std::min(kColumns, b - from);
        for (std::size_t c = 0; c < n; ++c) {
          add_rows(carried.data() + c * k_ + from, errors.data() + c * kBlock,
                   factor_.data() + b * k_ + from, e - b, k_, width);
        }
      }
      e = b;
    }
  }

 private:
  std::span<const double> factor_;
  std::size_t k_;
  std::span<const std::size_t> order_;
  double lo_;
  double hi_;
};

}  // namespace

Result<FeedbackRounding> FeedbackRounding::make(std::span<const double> second_moment,
                                                std::size_t k, const RoundingOptions& options,
                                                ThreadPool* pool) {
  INTACT_CHECK(options.damping > 0.0, "rounding with damping {}", options.damping);
  INTACT_TRY(check_moment(second_moment, k));
  FeedbackRounding r;
  r.k_ = k;
  r.codes_ = options.codes;
  r.order_ = processing_order(second_moment, k, options.by_energy);
  const double mean = mean_diagonal(second_moment, k);
  // With no input ever seen all directions weigh the same: rounding to nearest.
  const double unit = mean > 0.0 ? mean : 1.0;
  r.factor_.resize(k * k);
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      r.factor_[i * k + j] = second_moment[r.order_[i] * k + r.order_[j]];
    }
    r.factor_[i * k + i] += options.damping * unit;
  }
  INTACT_TRY(cholesky(r.factor_, k, pool));
  return r;
}

Status FeedbackRounding::round(std::span<const double> w, std::span<const double> scales,
                               std::span<std::int8_t> codes, ThreadPool* pool) const {
  const std::size_t n = scales.size();
  INTACT_CHECK(w.size() == n * k_ && codes.size() == w.size(), "{} weights, {} codes, {} channels",
               w.size(), codes.size(), n);
  if (!all_finite(w)) return fail(ErrorCode::kInvalidArgument, "a weight is not finite");
  const Feedback feedback(factor_, k_, order_, codes_);
  run_tasks(pool, (n + kChannels - 1) / kChannels, [&](std::size_t t) {
    feedback.run(w, scales, t * kChannels, std::min(n, (t + 1) * kChannels), codes);
  });
  return {};
}

Status round_with_feedback(std::span<const double> w, std::span<const double> scales,
                           std::span<const double> second_moment, std::span<std::int8_t> codes,
                           const RoundingOptions& options, ThreadPool* pool) {
  if (scales.empty() || w.empty()) return {};
  INTACT_ASSIGN(const auto rounding,
                FeedbackRounding::make(second_moment, w.size() / scales.size(), options, pool));
  return rounding.round(w, scales, codes, pool);
}

std::vector<double> output_error(std::span<const double> w, std::span<const double> w_hat,
                                 std::span<const double> second_moment, std::size_t n) {
  std::vector<double> errors(n, 0.0);
  if (n == 0 || w.empty()) return errors;
  const std::size_t k = w.size() / n;
  INTACT_CHECK(w.size() == n * k && w_hat.size() == w.size() && second_moment.size() == k * k,
               "{} and {} weights, a second moment of {}, {} channels", w.size(), w_hat.size(),
               second_moment.size(), n);
  std::vector<double> d(k);
  std::vector<double> hd(k);
  for (std::size_t c = 0; c < n; ++c) {
    for (std::size_t i = 0; i < k; ++i) d[i] = w[c * k + i] - w_hat[c * k + i];
    std::fill(hd.begin(), hd.end(), 0.0);
    add_rows(hd.data(), d.data(), second_moment.data(), k, k, k);
    for (std::size_t i = 0; i < k; ++i) errors[c] += d[i] * hd[i];
  }
  return errors;
}

Result<PageVector<double>> refit_weights(std::span<const double> w,
                                         PageVector<double> second_moment,
                                         PageVector<double> cross_moment, double ridge,
                                         ThreadPool* pool) {
  INTACT_CHECK(ridge > 0.0, "refitting with ridge {}", ridge);
  if (w.empty()) return PageVector<double>{};
  const std::size_t k = inputs_of(w.size(), second_moment.size());
  const std::size_t n = w.size() / k;
  INTACT_TRY(check_moment(second_moment, k));
  INTACT_TRY(check_moment(cross_moment, k));
  if (!all_finite(w)) return fail(ErrorCode::kInvalidArgument, "a weight is not finite");
  const double mean = mean_diagonal(second_moment, k);
  const double l = ridge * (mean > 0.0 ? mean : 1.0);
  PageVector<double>& factor = second_moment;
  for (std::size_t i = 0; i < k; ++i) factor[i * k + i] += l;
  INTACT_TRY(cholesky(factor, k, pool));
  // L^T beside L, for the substitution that runs down the columns of L, and (C + l I)^T.
  PageVector<double>& cross = cross_moment;
  for (std::size_t i = 0; i < k; ++i) cross[i * k + i] += l;
  for_tiles_above_diagonal(k, pool, [&](std::size_t i, std::size_t j) {
    factor[i * k + j] = factor[j * k + i];
    std::swap(cross[i * k + j], cross[j * k + i]);
  });
  PageVector<double> fitted(w.size());
  run_tasks(pool, (n + kSolveLanes - 1) / kSolveLanes, [&](std::size_t t) {
    const std::size_t first = t * kSolveLanes;
    const std::size_t lanes = std::min(kSolveLanes, n - first);
    std::vector<double> x(k * lanes);  // Column c is channel first + c.
    std::vector<double> b(k * lanes, 0.0);
    std::vector<double> minus(k);
    for (std::size_t c = 0; c < lanes; ++c) {
      for (std::size_t i = 0; i < k; ++i) x[i * lanes + c] = w[(first + c) * k + i];
    }
    for (std::size_t i = 0; i < k; ++i) {
      add_rows(b.data() + i * lanes, cross.data() + i * k, x.data(), k, lanes, lanes);
    }
    const auto eliminate = [&](std::size_t i, const double* row, std::size_t from, std::size_t to) {
      for (std::size_t j = from; j < to; ++j) minus[j] = -row[j];
      add_rows(b.data() + i * lanes, minus.data() + from, b.data() + from * lanes, to - from, lanes,
               lanes);
      for (std::size_t c = 0; c < lanes; ++c) b[i * lanes + c] /= factor[i * k + i];
    };
    for (std::size_t i = 0; i < k; ++i) eliminate(i, factor.data() + i * k, 0, i);
    for (std::size_t i = k; i-- > 0;) eliminate(i, factor.data() + i * k, i + 1, k);
    for (std::size_t c = 0; c < lanes; ++c) {
      for (std::size_t i = 0; i < k; ++i) fitted[(first + c) * k + i] = b[i * lanes + c];
    }
  });
  return fitted;
}

}  // namespace intact
