#include "quant/observer.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace intact {
namespace {

constexpr std::size_t kLanes = 4;

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

std::vector<double> ChannelStats::means() const {
  std::vector<double> result(sums.size(), 0.0);
  if (count == 0) return result;
  for (std::size_t c = 0; c < sums.size(); ++c) {
    result[c] = sums[c].value() / static_cast<double>(count);
  }
  return result;
}

void ChannelStats::merge(const ChannelStats& other) {
  INTACT_CHECK(sums.size() == other.sums.size(), "merging stats of {} and {} channels", sums.size(),
               other.sums.size());
  if (other.count == 0) return;
  if (count == 0) {
    *this = other;
    return;
  }
  count += other.count;
  for (std::size_t c = 0; c < sums.size(); ++c) {
    sums[c].add(other.sums[c]);
    min[c] = std::min(min[c], other.min[c]);
    max[c] = std::max(max[c], other.max[c]);
  }
}

ChannelObserver::ChannelObserver(std::size_t channels) {
  stats_.sums.resize(channels);
  stats_.min.resize(channels);
  stats_.max.resize(channels);
}

Status ChannelObserver::observe(std::span<const float> x, const AxisView& view) {
  const std::size_t channels = stats_.sums.size();
  INTACT_CHECK(view.channels == channels && x.size() == view.size(),
               "{} values and {} channels in a view of {} and {}", x.size(), channels, view.size(),
               view.channels);
  if (x.empty()) return {};
  std::vector<float> low(channels);
  std::vector<float> high(channels);
  for (std::size_t c = 0; c < channels; ++c) low[c] = high[c] = x[c * view.inner];
  // Position p = o * inner + i adds to lane p mod kLanes, whatever the layout.
  lanes_.assign(channels * kLanes, 0.0);
  for (std::size_t o = 0; o < view.outer; ++o) {
    const float* from = x.data() + o * channels * view.inner;
    if (view.inner == 1) {
      double* lane = lanes_.data() + o % kLanes * channels;
      for (std::size_t c = 0; c < channels; ++c) {
        const float v = from[c];
        lane[c] += static_cast<double>(v);
        low[c] = v < low[c] ? v : low[c];
        high[c] = v > high[c] ? v : high[c];
      }
      continue;
    }
    const std::size_t first = o * view.inner % kLanes;
    for (std::size_t c = 0; c < channels; ++c) {
      const float* p = from + c * view.inner;
      double lane[kLanes];
      for (std::size_t l = 0; l < kLanes; ++l) {
        lane[l] = lanes_[(first + l) % kLanes * channels + c];
      }
      float lows[kLanes] = {p[0], p[0], p[0], p[0]};
      float highs[kLanes] = {p[0], p[0], p[0], p[0]};
      const auto one = [&](std::size_t l, float v) {
        lane[l] += static_cast<double>(v);
        lows[l] = v < lows[l] ? v : lows[l];
        highs[l] = v > highs[l] ? v : highs[l];
      };
      std::size_t i = 0;
      for (; i + kLanes <= view.inner; i += kLanes) {
        for (std::size_t l = 0; l < kLanes; ++l) one(l, p[i + l]);
      }
      for (std::size_t l = 0; i + l < view.inner; ++l) one(l, p[i + l]);
      for (std::size_t l = 0; l < kLanes; ++l) {
        lanes_[(first + l) % kLanes * channels + c] = lane[l];
        low[c] = std::min(low[c], lows[l]);
        high[c] = std::max(high[c], highs[l]);
      }
    }
  }
  std::vector<double> sums(channels);
  for (std::size_t c = 0; c < channels; ++c) {
    const double* l = lanes_.data() + c;
    sums[c] = (l[0] + l[channels]) + (l[2 * channels] + l[3 * channels]);
    if (!std::isfinite(sums[c])) return not_finite();  // No finite floats reach a double's limit.
  }
  for (std::size_t c = 0; c < channels; ++c) {
    stats_.sums[c].add(sums[c]);
    const bool first = stats_.count == 0;
    stats_.min[c] = (first ? low[c] : std::min(stats_.min[c], low[c])) + 0.0f;
    stats_.max[c] = (first ? high[c] : std::max(stats_.max[c], high[c])) + 0.0f;
  }
  stats_.count += view.outer * view.inner;
  return {};
}

}  // namespace intact
