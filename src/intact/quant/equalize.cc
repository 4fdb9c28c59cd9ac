#include "quant/equalize.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace intact {
namespace {

// The safeguards that all scales share. A quotient of usable ranges is finite and positive.
float guarded(double s, const EqualizeOptions& options) {
  if (!std::isfinite(s) || !(s > 0.0)) return 1.0f;
  s = std::clamp(s, 1.0 / options.limit, options.limit);
  if (options.powers_of_two) s = std::exp2(std::nearbyint(std::log2(s)));
  return static_cast<float>(s);
}

bool usable(float r) { return std::isnormal(r) && r > 0.0f; }

// Returns the largest value; NaN when there is one.
double largest(std::span<const float> r) {
  double top = 0.0;
  for (const float x : r) {
    if (std::isnan(x)) return std::nan("");
    top = std::max(top, static_cast<double>(x));
  }
  return top;
}

void check_equal(std::size_t a, std::size_t b) {
  INTACT_CHECK(a == b, "equalizing {} channels with {}", a, b);
}

template <class Op>
void each_channel(std::span<float> w, const AxisView& view, std::span<const float> factors,
                  const Op& op) {
  INTACT_CHECK(w.size() == view.size() && factors.size() == view.channels,
               "{} values and {} factors in a view of {} and {}", w.size(), factors.size(),
               view.size(), view.channels);
  std::size_t at = 0;
  for (std::size_t o = 0; o < view.outer; ++o) {
    for (std::size_t c = 0; c < view.channels; ++c) {
      for (std::size_t i = 0; i < view.inner; ++i, ++at) w[at] = op(w[at], factors[c]);
    }
  }
}

}  // namespace

std::vector<float> equalization_scales(std::span<const float> r1, std::span<const float> r2,
                                       const EqualizeOptions& options) {
  check_equal(r1.size(), r2.size());
  std::vector<float> s(r1.size(), 1.0f);
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (!usable(r1[i]) || !usable(r2[i])) continue;
    s[i] = guarded(std::sqrt(static_cast<double>(r1[i]) / static_cast<double>(r2[i])), options);
  }
  return s;
}

DepthwiseScales equalization_scales(std::span<const float> r1, std::span<const float> r2,
                                    std::span<const float> r3, const EqualizeOptions& options) {
  check_equal(r1.size(), r2.size());
  check_equal(r1.size(), r3.size());
  DepthwiseScales s{std::vector<float>(r1.size(), 1.0f), std::vector<float>(r1.size(), 1.0f)};
  for (std::size_t i = 0; i < r1.size(); ++i) {
    if (!usable(r1[i]) || !usable(r2[i]) || !usable(r3[i])) continue;
    const double g = std::cbrt(static_cast<double>(r1[i])) * std::cbrt(static_cast<double>(r2[i])) *
                     std::cbrt(static_cast<double>(r3[i]));
    s.first[i] = guarded(static_cast<double>(r1[i]) / g, options);
    s.second[i] = guarded(g / static_cast<double>(r3[i]), options);
  }
  return s;
}

std::vector<float> smoothing_scales(std::span<const float> x_absmax,
                                    std::span<const float> w_absmax, double alpha,
                                    const EqualizeOptions& options) {
  check_equal(x_absmax.size(), w_absmax.size());
  INTACT_CHECK(alpha >= 0.0 && alpha <= 1.0, "smoothing with alpha = {}", alpha);
  std::vector<float> s(x_absmax.size(), 1.0f);
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (!usable(x_absmax[i]) || !usable(w_absmax[i])) continue;
    s[i] = guarded(std::pow(static_cast<double>(x_absmax[i]), alpha) /
                       std::pow(static_cast<double>(w_absmax[i]), 1.0 - alpha),
                   options);
  }
  return s;
}

std::vector<float> channel_gains(std::span<const float> x_absmax, std::span<const float> w_absmax,
                                 double alpha, const ChannelGainOptions& options) {
  const bool has_weights = !w_absmax.empty();
  if (has_weights) check_equal(x_absmax.size(), w_absmax.size());
  INTACT_CHECK(alpha >= 0.0 && alpha <= 1.0, "channel gains with alpha = {}", alpha);
  std::vector<float> v(x_absmax.size(), 1.0f);
  const double a_top = largest(x_absmax);
  const double w_top = has_weights ? largest(w_absmax) : 1.0;
  if (!(a_top > 0.0 && std::isfinite(a_top) && w_top > 0.0 && std::isfinite(w_top))) return v;
  std::vector<double> c(v.size());
  double c_top = 0.0;
  for (std::size_t i = 0; i < c.size(); ++i) {
    // Relative values, so that the powers can neither overflow nor vanish.
    const double a = std::max(static_cast<double>(x_absmax[i]) / a_top, options.floor);
    const double w =
        has_weights ? std::max(static_cast<double>(w_absmax[i]) / w_top, options.floor) : 1.0;
    c[i] = std::pow(a, alpha) / std::pow(w, 1.0 - alpha);
    c_top = std::max(c_top, c[i]);
  }
  for (std::size_t i = 0; i < c.size(); ++i) {
    v[i] = static_cast<float>(1.0 / std::max(c[i] / c_top, options.lowest));
  }
  return v;
}

ScaledRange scaled_range(std::span<const float> min, std::span<const float> max,
                         std::span<const float> gains) {
  check_equal(min.size(), max.size());
  check_equal(min.size(), gains.size());
  ScaledRange range;
  for (std::size_t i = 0; i < gains.size(); ++i) {
    range.lo = std::min(range.lo, min[i] * gains[i]);
    range.hi = std::max(range.hi, max[i] * gains[i]);
  }
  return range;
}

std::vector<float> channel_absmax(std::span<const float> w, const AxisView& view) {
  INTACT_CHECK(w.size() == view.size(), "{} values in a view of {}", w.size(), view.size());
  std::vector<float> top(view.channels, 0.0f);
  std::size_t at = 0;
  for (std::size_t o = 0; o < view.outer; ++o) {
    for (std::size_t c = 0; c < view.channels; ++c) {
      for (std::size_t i = 0; i < view.inner; ++i, ++at)
        top[c] = std::max(top[c], std::fabs(w[at]));
    }
  }
  return top;
}

void multiply_channels(std::span<float> w, const AxisView& view, std::span<const float> factors) {
  each_channel(w, view, factors, [](float x, float f) { return x * f; });
}

void divide_channels(std::span<float> w, const AxisView& view, std::span<const float> factors) {
  each_channel(w, view, factors, [](float x, float f) { return x / f; });
}

std::vector<float> absorbable_bias(std::span<const float> mean, std::span<const float> deviation) {
  check_equal(mean.size(), deviation.size());
  std::vector<float> c(mean.size());
  for (std::size_t i = 0; i < c.size(); ++i) {
    const double d = static_cast<double>(mean[i]) - 3.0 * static_cast<double>(deviation[i]);
    c[i] = d > 0.0 && std::isfinite(d) ? static_cast<float>(d) : 0.0f;
  }
  return c;
}

}  // namespace intact
