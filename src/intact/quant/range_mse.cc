// The search for the range of least expected squared error; docs/maths/calibration.md, "mse".
//
// Two observations make the exhaustive search over all pairs of ends cheap:
//   - the rounding grid is {n scale}, anchored at zero, so the rounding error of a bin depends on
//     the scale alone, which depends on hi - lo alone: one prefix sum a scale serves all pairs;
//   - the rest of the quantizer is an integer, the number of codes below zero.
// Everything below is in units of one bin: bin j of a side is [j, j + 1), sigma = scale / width.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "quant/range_search.h"

namespace intact {
namespace {

constexpr int kHalf = Histogram::kHalf;

// Returns the integral from 0 to t >= 0 of (u - rne(u))^2 du.
inline double rounding_integral(double t) noexcept {
  const double n = (t + 0x1.8p52) - 0x1.8p52;
  const double r = t - n;
  return n * (1.0 / 12.0) + r * r * r * (1.0 / 3.0);
}

// One side of zero: counts by magnitude, with the suffix moments that clipping needs.
struct Side {
  std::array<double, kHalf> count{};
  // Sums over bins >= j of count, count c and count (c^2 + 1/12), c the bin's middle.
  std::array<double, kHalf + 1> m0{};
  std::array<double, kHalf + 1> m1{};
  std::array<double, kHalf + 1> m2{};
  int used = 0;  // Bins >= used are empty.

  void finish() {
    for (int j = kHalf; j-- > 0;) {
      const auto i = static_cast<std::size_t>(j);
      const double c = j + 0.5;
      if (count[i] > 0.0) used = std::max(used, j + 1);
      m0[i] = m0[i + 1] + count[i];
      m1[i] = m1[i + 1] + count[i] * c;
      m2[i] = m2[i + 1] + count[i] * (c * c + 1.0 / 12.0);
    }
  }

  // Returns the sum over values beyond x of (value - x)^2, spread evenly within bins.
  [[nodiscard]] double clipping(double x) const noexcept {
    if (x >= used) return 0.0;
    const auto j = static_cast<std::size_t>(x);
    const double part = static_cast<double>(j + 1) - x;
    return count[j] * part * part * part * (1.0 / 3.0) +
           (m2[j + 1] - 2.0 * x * m1[j + 1] + x * x * m0[j + 1]);
  }
};

// The rounding error of one scale, as prefix sums over the bins of both sides.
class Rounding {
 public:
  Rounding(const Side& low, const Side& high) : low_(low), high_(high) {}

  void prepare(double sigma) {
    sigma_ = sigma;
    const int used = std::max(low_.used, high_.used);
    const double inv = 1.0 / sigma;
    for (int j = 0; j <= used; ++j) {
      integral_[static_cast<std::size_t>(j)] = rounding_integral(j * inv);
    }
    double low = 0.0;
    double high = 0.0;
    for (std::size_t j = 0; j < static_cast<std::size_t>(used); ++j) {
      low_sum_[j] = low;
      high_sum_[j] = high;
      const double step = integral_[j + 1] - integral_[j];
      low += low_.count[j] * step;
      high += high_.count[j] * step;
    }
    low_sum_[static_cast<std::size_t>(used)] = low;
    high_sum_[static_cast<std::size_t>(used)] = high;
  }

  // Returns the squared rounding error of the values up to code n of a side.
  [[nodiscard]] double low_up_to(int n) const noexcept { return up_to(low_, low_sum_, n); }
  [[nodiscard]] double high_up_to(int n) const noexcept { return up_to(high_, high_sum_, n); }

 private:
  [[nodiscard]] double up_to(const Side& side, const std::array<double, kHalf + 1>& sum,
                             int n) const noexcept {
    const double cube = sigma_ * sigma_ * sigma_;
    const double x = n * sigma_;
    if (x >= side.used) return cube * sum[static_cast<std::size_t>(side.used)];
    const auto j = static_cast<std::size_t>(x);
    return cube * (sum[j] + side.count[j] * (n * (1.0 / 12.0) - integral_[j]));
  }

  const Side& low_;
  const Side& high_;
  double sigma_ = 1.0;
  std::array<double, kHalf + 1> integral_{};
  std::array<double, kHalf + 1> low_sum_{};
  std::array<double, kHalf + 1> high_sum_{};
};

struct Sides {
  explicit Sides(const Histogram& h) {
    for (std::size_t j = 0; j < kHalf; ++j) {
      high.count[j] = static_cast<double>(h.counts[kHalf + j]);
      low.count[j] = static_cast<double>(h.counts[kHalf - 1 - j]);
    }
    low.finish();
    high.finish();
  }
  Side low;
  Side high;
};

class Search {
 public:
  Search(const Histogram& h, const RangeTarget& target)
      : sides_(h), rounding_(sides_.low, sides_.high), width_(h.width()), target_(target) {}

  [[nodiscard]] const Sides& sides() const noexcept { return sides_; }

  // Fixes the distance of the ends, in bins. Returns false when no normal scale belongs to it.
  bool set_span(double span) {
    const int steps = target_.symmetric ? target_.codes.hi - symmetric_zero()
                                        : target_.codes.hi - target_.codes.lo;
    const auto scale = static_cast<float>(span * width_ / steps);
    sigma_ = static_cast<double>(scale) / width_;
    prepared_ = false;
    last_below_ = -1;
    return std::isnormal(scale);
  }

  // Tries the pair (-low, high), in bins, whose distance set_span has fixed.
  void attempt(double low, double high) {
    const int steps = target_.codes.hi - target_.codes.lo;
    int below = 0;  // Codes below the zero point.
    if (target_.symmetric) {
      below = symmetric_zero() - target_.codes.lo;
    } else {
      const double at = target_.codes.lo + low / sigma_;  // (3); below 2^17, so this rounds it:
      const double zero = ((at + 0x1.8p52) - 0x1.8p52) - target_.codes.lo;
      below = static_cast<int>(std::clamp(zero, 0.0, static_cast<double>(steps)));
    }
    if (below == last_below_) return;  // The same quantizer as the pair before.
    last_below_ = below;
    const int above = steps - below;
    double error = sides_.low.clipping(below * sigma_) + sides_.high.clipping(above * sigma_);
    if (!(error < best_error_)) return;
    if (!prepared_) rounding_.prepare(sigma_);
    prepared_ = true;
    error += rounding_.low_up_to(below) + rounding_.high_up_to(above);
    if (error < best_error_) {
      best_error_ = error;
      best_low_ = low;
      best_high_ = high;
    }
  }

  [[nodiscard]] Range best() const noexcept {
    return {static_cast<float>(-best_low_ * width_), static_cast<float>(best_high_ * width_)};
  }

 private:
  [[nodiscard]] int symmetric_zero() const noexcept {
    return target_.codes.lo < 0 ? 0 : (target_.codes.lo + target_.codes.hi + 1) / 2;
  }

  Sides sides_;
  Rounding rounding_;
  double width_;
  RangeTarget target_;
  double sigma_ = 1.0;
  bool prepared_ = false;
  int last_below_ = -1;
  double best_error_ = std::numeric_limits<double>::infinity();
  double best_low_ = 0.0;
  double best_high_ = 0.0;
};

// Returns the number of edges k = 1, 2, ... strictly below x bins.
int edges_below(double x) { return std::max(0, static_cast<int>(std::ceil(x)) - 1); }

}  // namespace

Range mse_range(const Histogram& histogram, float min, float max, const RangeTarget& target) {
  const double width = histogram.width();
  const double low_end = std::max(0.0, -static_cast<double>(min)) / width;
  const double high_end = std::max(0.0, static_cast<double>(max)) / width;
  const Range all{std::min(min, 0.0f), std::max(max, 0.0f)};
  if (all.lo == all.hi) return all;
  Search search(histogram, target);
  if (target.symmetric) {
    const double top = std::max(low_end, high_end);
    if (search.set_span(top)) search.attempt(top, top);
    for (int k = edges_below(top); k >= 1; --k) {
      if (search.set_span(k)) search.attempt(k, k);
    }
    const Range best = search.best();
    return best.hi > 0.0f ? best : all;
  }
  // Wide spans first: of equal errors the widest wins. Ends are min and max themselves, or edges.
  const int low_edges = edges_below(low_end);
  const int high_edges = edges_below(high_end);
  if (search.set_span(low_end + high_end)) search.attempt(low_end, high_end);
  if (low_end > 0.0) {
    for (int k = high_edges; k >= (high_end > 0.0 ? 0 : 1); --k) {
      if (search.set_span(low_end + k)) search.attempt(low_end, k);
    }
  }
  if (high_end > 0.0) {
    for (int k = low_edges; k >= (low_end > 0.0 ? 0 : 1); --k) {
      if (search.set_span(high_end + k)) search.attempt(k, high_end);
    }
  }
  for (int span = low_edges + high_edges; span >= 1; --span) {
    if (!search.set_span(span)) break;
    const int first = std::max(0, span - high_edges);
    const int last = std::min(low_edges, span);
    for (int low = last; low >= first; --low) search.attempt(low, span - low);
  }
  const Range best = search.best();
  return best.lo < best.hi ? best : all;
}

double expected_squared_error(const Histogram& histogram, const Affine& map) {
  const auto total = static_cast<double>(histogram.total());
  if (total == 0.0) return 0.0;
  const double width = histogram.width();
  const double sigma = static_cast<double>(map.scale) / width;
  const Sides sides(histogram);
  Rounding rounding(sides.low, sides.high);
  rounding.prepare(sigma);
  const int below = map.zero_point - map.codes.lo;
  const int above = map.codes.hi - map.zero_point;
  const double error = sides.low.clipping(below * sigma) + sides.high.clipping(above * sigma) +
                       rounding.low_up_to(below) + rounding.high_up_to(above);
  return error * width * width / total;
}

}  // namespace intact
