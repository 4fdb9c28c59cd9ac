#include "quant/observer.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace intact {
namespace {

Status not_finite() {
  return fail(ErrorCode::kDataMismatch,
              "NaN or infinity among the values; check the sample and its preprocessing");
}

}  // namespace

Status TensorStats::merge(const TensorStats& other) {
  if (moving || other.moving) {
    return fail(ErrorCode::kInvalidArgument,
                "moving averages depend on the order of the samples and cannot be merged; "
                "calibrate once over all samples, or use average");
  }
  if (other.samples == 0) return {};
  if (samples == 0) {
    *this = other;
    return {};
  }
  samples += other.samples;
  min = std::min(min, other.min);
  max = std::max(max, other.max);
  sum_min.add(other.sum_min);
  sum_max.add(other.sum_max);
  histogram.merge(other.histogram);
  return {};
}

TensorObserver::TensorObserver(std::optional<double> moving_beta, bool histogram)
    : histogram_(histogram) {
  if (!moving_beta) return;
  INTACT_CHECK(*moving_beta >= 0.0 && *moving_beta < 1.0, "moving average with B = {}",
               *moving_beta);
  stats_.moving = MovingAverage{*moving_beta, 0.0, 0.0};
}

Status TensorObserver::observe(std::span<const float> x, ThreadPool* pool) {
  if (x.empty()) return {};
  const Extremes e = histogram_ ? observe_values(x, stats_.histogram, pool) : find_extremes(x);
  if (!e.finite) return not_finite();
  sample_min_ = open_ ? std::min(sample_min_, e.min) : e.min;
  sample_max_ = open_ ? std::max(sample_max_, e.max) : e.max;
  open_ = true;
  return {};
}

void TensorObserver::end_sample() {
  if (!open_) return;
  open_ = false;
  const bool first = stats_.samples == 0;
  stats_.min = first ? sample_min_ : std::min(stats_.min, sample_min_);
  stats_.max = first ? sample_max_ : std::max(stats_.max, sample_max_);
  const auto low = static_cast<double>(sample_min_);
  const auto high = static_cast<double>(sample_max_);
  stats_.sum_min.add(low);
  stats_.sum_max.add(high);
  if (stats_.moving) {
    MovingAverage& m = *stats_.moving;
    m.min = first ? low : m.beta * m.min + (1.0 - m.beta) * low;
    m.max = first ? high : m.beta * m.max + (1.0 - m.beta) * high;
  }
  ++stats_.samples;
}

const TensorStats& TensorObserver::stats() const {
  INTACT_CHECK(!open_, "stats of an observer inside a sample");
  return stats_;
}

}  // namespace intact
