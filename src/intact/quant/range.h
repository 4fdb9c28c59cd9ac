// range.h: from what was seen to the range that the codes span.
//
//   minmax        the smallest and the largest value
//   average       the mean over samples of each sample's min and max
//   moving=B      the exponential average of them, in sample order
//   percentile=P  P % of the values inside: at most (100 - P) / 2 % beyond each end; an end that is
//                 pinned at zero (no values on that side) passes its share to the other
//   kl            the threshold whose codes keep the distribution's shape best (entropy)
//   mse           the pair of ends with the least expected squared error of (1)-(3); the default
//
// percentile, kl and mse read the histogram alone. Candidate ends are the bin edges strictly inside
// [min, max], and min and max themselves. Objectives and their derivation:
// docs/maths/calibration.md.
#pragma once

#include <string>
#include <string_view>

#include "intact/result.h"
#include "quant/affine.h"
#include "quant/observer.h"
#include "quant/short_scale.h"

namespace intact {

enum class RangeKind : std::uint8_t { kMinmax, kAverage, kMoving, kPercentile, kKl, kMse };

struct RangeMethod {
  RangeKind kind = RangeKind::kMse;
  double parameter = 0.0;  // B of moving=B, P of percentile=P; else 0.
  friend bool operator==(const RangeMethod&, const RangeMethod&) = default;
};

// Reads "mse", "minmax", "average", "kl", "moving=0.9", "percentile=99.99". "moving" alone means
// 0.99, "percentile" alone 99.99. Errors: kInvalidArgument, listing what is allowed.
Result<RangeMethod> parse_range_method(std::string_view text);
std::string to_string(const RangeMethod& method);

// A closed interval of real values that contains 0.
struct Range {
  float lo = 0.0f;
  float hi = 0.0f;
  friend bool operator==(const Range&, const Range&) = default;
};

// How a range becomes a map: choose_affine, or choose_symmetric (range.lo = -range.hi then).
struct RangeTarget {
  CodeRange codes{0, 255};
  bool symmetric = false;
  ScaleSet scales = ScaleSet::kAny;
};

// Returns the range for codes of that target. Errors: kInvalidArgument when no sample was seen, or
// when moving is asked of stats without it or with another B.
Result<Range> choose_range(const TensorStats& stats, const RangeMethod& method,
                           const RangeTarget& target = {});

// Returns the map of a range: choose_affine or choose_symmetric. Of target.scales the two members
// around that map's scale compete by map_with; the least (9) on the histogram wins. Without values
// there it is the larger one, which covers the whole range.
Result<Affine> map_of(const Range& range, const RangeTarget& target = {},
                      const Histogram* histogram = nullptr);

// Returns the map with that scale for a range. The zero point keeps the low end, as in (3), or the
// high end or their proportion, where that has a smaller (9) on the histogram; null: (3).
Affine map_with(float scale, const Range& range, const RangeTarget& target,
                const Histogram* histogram = nullptr);

// Returns the real values that the codes of a map span.
Range span_of(const Affine& map) noexcept;

// Returns the expected squared error of one value under `map`, values spread evenly within bins:
//   E = (1 / total) sum_b counts[b] (1 / w) integral_b (x - decode(encode(x)))^2 dx             (9)
// Zero without values.
double expected_squared_error(const Histogram& histogram, const Affine& map);

// Returns the share of the values that lie beyond the range's ends, in [0, 1], by whole bins: a bin
// that straddles an end counts by the part beyond it.
double clipped_share(const Histogram& histogram, const Range& range);

}  // namespace intact
