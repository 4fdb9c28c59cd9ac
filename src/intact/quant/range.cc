#include "quant/range.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/round.h"
#include "quant/range_search.h"

namespace intact {
namespace {

constexpr double kDefaultBeta = 0.99;
constexpr double kDefaultPercentile = 99.99;

Range widened(double lo, double hi) {
  return {static_cast<float>(std::min(lo, 0.0)), static_cast<float>(std::max(hi, 0.0))};
}

tl::unexpected<Error> unknown_method(std::string_view text) {
  return fail(
      ErrorCode::kInvalidArgument,
      fmt::format("'{}' is no range method; choose mse, minmax, average, moving=B with B in "
                  "[0, 1), percentile=P with P in (0, 100], or kl",
                  text));
}

}  // namespace

Result<RangeMethod> parse_range_method(std::string_view text) {
  const std::size_t equal = text.find('=');
  const std::string_view word = text.substr(0, equal);
  const bool has_value = equal != std::string_view::npos;
  double value = 0.0;
  if (has_value) {
    const std::string_view number = text.substr(equal + 1);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    if (error != std::errc{} || end != number.data() + number.size()) return unknown_method(text);
  }
  if (word == "moving") {
    const double beta = has_value ? value : kDefaultBeta;
    if (!(beta >= 0.0 && beta < 1.0)) return unknown_method(text);
    return RangeMethod{RangeKind::kMoving, beta};
  }
  if (word == "percentile") {
    const double percent = has_value ? value : kDefaultPercentile;
    if (!(percent > 0.0 && percent <= 100.0)) return unknown_method(text);
    return RangeMethod{RangeKind::kPercentile, percent};
  }
  if (has_value) return unknown_method(text);
  if (word == "mse") return RangeMethod{RangeKind::kMse, 0.0};
  if (word == "minmax") return RangeMethod{RangeKind::kMinmax, 0.0};
  if (word == "average") return RangeMethod{RangeKind::kAverage, 0.0};
  if (word == "kl") return RangeMethod{RangeKind::kKl, 0.0};
  return unknown_method(text);
}

std::string to_string(const RangeMethod& method) {
  switch (method.kind) {
    case RangeKind::kMinmax:
      return "minmax";
    case RangeKind::kAverage:
      return "average";
    case RangeKind::kMoving:
      return fmt::format("moving={}", method.parameter);
    case RangeKind::kPercentile:
      return fmt::format("percentile={}", method.parameter);
    case RangeKind::kKl:
      return "kl";
    case RangeKind::kMse:
      break;
  }
  return "mse";
}

Result<Range> choose_range(const TensorStats& stats, const RangeMethod& method,
                           const RangeTarget& target) {
  if (stats.samples == 0) {
    return fail(ErrorCode::kInvalidArgument,
                "no sample reached this tensor, so it has no range; give samples that use it, or "
                "keep it in float");
  }
  const auto n = static_cast<double>(stats.samples);
  Range range;
  switch (method.kind) {
    case RangeKind::kMinmax:
      range = widened(static_cast<double>(stats.min), static_cast<double>(stats.max));
      break;
    case RangeKind::kAverage:
      range = widened(stats.sum_min.value() / n, stats.sum_max.value() / n);
      break;
    case RangeKind::kMoving:
      if (!stats.moving || stats.moving->beta != method.parameter) {
        return fail(
            ErrorCode::kInvalidArgument,
            fmt::format("moving={} was not recorded; calibrate again with --range moving={}",
                        method.parameter, method.parameter));
      }
      range = widened(stats.moving->min, stats.moving->max);
      break;
    case RangeKind::kPercentile:
      range = percentile_range(stats.histogram, stats.min, stats.max, method.parameter,
                               target.symmetric);
      break;
    case RangeKind::kKl:
      range = kl_range(stats.histogram, stats.min, stats.max, target);
      break;
    case RangeKind::kMse:
      range = mse_range(stats.histogram, stats.min, stats.max, target);
      break;
  }
  if (target.symmetric) {
    const float top = std::max(-range.lo, range.hi);
    range = {-top, top};
  }
  range.lo += 0.0f;  // -0 becomes +0, so that texts and comparisons know one zero.
  range.hi += 0.0f;
  return range;
}

Result<Affine> map_of(const Range& range, const RangeTarget& target, const Histogram* histogram) {
  INTACT_ASSIGN(const Affine exact, target.symmetric
                                        ? choose_symmetric(range.lo, range.hi, target.codes)
                                        : choose_affine(range.lo, range.hi, target.codes));
  if (target.scales == ScaleSet::kAny) return exact;
  // An end may lie one step outside: 6 of a Relu6 is code 255 of 6 / 256 as well.
  const double steps = target.codes.hi - target.codes.lo;
  const auto least = static_cast<float>(static_cast<double>(exact.scale) * steps / (steps + 1));
  const Affine above = map_with(scale_above(least, target.scales), range, target, histogram);
  if (histogram == nullptr || histogram->total() == 0) return above;
  const Affine below = map_with(scale_below(exact.scale, target.scales), range, target, histogram);
  return expected_squared_error(*histogram, below) < expected_squared_error(*histogram, above)
             ? below
             : above;
}

Affine map_with(float scale, const Range& range, const RangeTarget& target,
                const Histogram* histogram) {
  const CodeRange codes = target.codes;
  if (target.symmetric) return {scale, codes.lo < 0 ? 0 : (codes.lo + codes.hi + 1) / 2, codes};
  const double lo = std::min(static_cast<double>(range.lo), 0.0);
  const double hi = std::max(static_cast<double>(range.hi), 0.0);
  const auto with_zero = [&](double zero) -> Affine {
    const double inside = std::clamp(zero, double{1} * codes.lo, double{1} * codes.hi);
    return {scale, static_cast<std::int32_t>(round_half_even(inside)), codes};
  };
  const double s = static_cast<double>(scale);
  Affine best = with_zero(codes.lo - lo / s);
  if (histogram == nullptr || !(lo < 0 && hi > 0)) return best;
  double least = expected_squared_error(*histogram, best);
  for (const double zero : {codes.hi - hi / s, codes.lo - lo / (hi - lo) * (codes.hi - codes.lo)}) {
    const Affine map = with_zero(zero);
    const double error = expected_squared_error(*histogram, map);
    if (error < least) best = map, least = error;
  }
  return best;
}

Range span_of(const Affine& map) noexcept {
  return {map.scale * static_cast<float>(map.codes.lo - map.zero_point),
          map.scale * static_cast<float>(map.codes.hi - map.zero_point)};
}

double clipped_share(const Histogram& histogram, const Range& range) {
  const double w = histogram.width();
  const double lo = static_cast<double>(range.lo) / w;
  const double hi = static_cast<double>(range.hi) / w;
  double outside = 0.0;
  for (int b = 0; b < Histogram::kBins; ++b) {
    const auto count = static_cast<double>(histogram.counts[static_cast<std::size_t>(b)]);
    if (count == 0.0) continue;
    const double left = b - Histogram::kHalf;
    outside += count * (std::clamp(lo - left, 0.0, 1.0) + std::clamp(left + 1.0 - hi, 0.0, 1.0));
  }
  const auto total = static_cast<double>(histogram.total());
  return total == 0.0 ? 0.0 : outside / total;
}

Range percentile_range(const Histogram& histogram, float min, float max, double percent,
                       bool symmetric) {
  constexpr int half = Histogram::kHalf;
  const double w = histogram.width();
  const double allowed = static_cast<double>(histogram.total()) * (100.0 - percent) / 100.0;
  const auto count = [&](int b) {
    return static_cast<double>(histogram.counts[static_cast<std::size_t>(b)]);
  };
  // Returns the smallest k such that at most `share` values have magnitudes in bins k and beyond.
  const auto threshold = [&](double share, bool low, bool high) {
    double beyond = 0.0;
    int k = half;
    for (; k > 0; --k) {
      beyond += (low ? count(half - k) : 0.0) + (high ? count(half + k - 1) : 0.0);
      if (beyond > share) break;
    }
    return k;
  };
  if (symmetric) {
    const double top = std::max(-static_cast<double>(min), static_cast<double>(max));
    const double t = std::min(threshold(allowed, true, true) * w, top);
    return widened(-t, t);
  }
  const double low_share = min >= 0.0f ? 0.0 : max <= 0.0f ? allowed : allowed / 2.0;
  const double high_share = max <= 0.0f ? 0.0 : min >= 0.0f ? allowed : allowed / 2.0;
  return widened(std::max(-threshold(low_share, true, false) * w, static_cast<double>(min)),
                 std::min(threshold(high_share, false, true) * w, static_cast<double>(max)));
}

}  // namespace intact
