// The entropy threshold; docs/maths/calibration.md, "kl".
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/round.h"
#include "quant/range_search.h"

namespace intact {
namespace {

constexpr int kHalf = Histogram::kHalf;

// Returns the divergence D(P | Q) of the window [first, last] of bins under `map`, or infinity when
// Q misses mass that P has. P: the counts, with everything beyond an end added to the end's bin.
// Q: the counts inside, each code's sum spread evenly over its bins that P occupies.
double divergence(const Histogram& h, int first, int last, const Affine& map) {
  const double sigma = static_cast<double>(map.scale) / h.width();
  double below = 0.0;
  double above = 0.0;
  for (int b = 0; b < first; ++b)
    below += static_cast<double>(h.counts[static_cast<std::size_t>(b)]);
  for (int b = last + 1; b < Histogram::kBins; ++b) {
    above += static_cast<double>(h.counts[static_cast<std::size_t>(b)]);
  }
  double sum = 0.0;     // sum over bins of P log P - P log Q
  double inside = 0.0;  // Mass of Q before it is normalised.
  double level_p = 0.0;
  double level_q = 0.0;
  int level_bins = 0;
  double level = std::numeric_limits<double>::quiet_NaN();
  bool possible = true;
  const auto close_level = [&] {
    if (level_p > 0.0) {
      if (level_q == 0.0) {
        possible = false;
      } else {
        sum -= level_p * std::log(level_q / level_bins);
      }
    }
    level_p = level_q = 0.0;
    level_bins = 0;
  };
  for (int b = first; b <= last; ++b) {
    const auto q = static_cast<double>(h.counts[static_cast<std::size_t>(b)]);
    const double p = q + (b == first ? below : 0.0) + (b == last ? above : 0.0);
    if (p == 0.0) continue;
    const double code = std::clamp(std::nearbyint((b - kHalf + 0.5) / sigma),
                                   static_cast<double>(map.codes.lo - map.zero_point),
                                   static_cast<double>(map.codes.hi - map.zero_point));
    if (code != level) close_level();
    level = code;
    sum += p * std::log(p);
    level_p += p;
    level_q += q;
    ++level_bins;
    inside += q;
  }
  close_level();
  if (!possible) return std::numeric_limits<double>::infinity();
  const double total = inside + below + above;
  return sum / total + std::log(inside / total);
}

}  // namespace

Range kl_range(const Histogram& histogram, float min, float max, const RangeTarget& target) {
  const double width = histogram.width();
  const double low_end = std::max(0.0, -static_cast<double>(min));
  const double high_end = std::max(0.0, static_cast<double>(max));
  const double top = std::max(low_end, high_end);
  const Range all{static_cast<float>(-low_end), static_cast<float>(high_end)};
  if (top == 0.0) return all;
  const auto used = [&](double end) { return std::min(kHalf, static_cast<int>(end / width) + 1); };
  const int low_bins = low_end > 0.0 ? used(low_end) : 0;
  const int high_bins = high_end > 0.0 ? used(high_end) : 0;
  const int widest = std::max(low_bins, high_bins);
  // With fewer bins than codes every bin has a code of its own and nothing is left to compare.
  const int narrowest = std::min(widest, (target.codes.hi - target.codes.lo + 1) / 2);
  Range best = all;
  double best_divergence = std::numeric_limits<double>::infinity();
  for (int k = widest; k >= narrowest; --k) {
    const Range range{k >= low_bins ? all.lo : static_cast<float>(-k * width),
                      k >= high_bins ? all.hi : static_cast<float>(k * width)};
    const auto map = map_of(range, target);
    if (!map) continue;
    const double d = divergence(histogram, kHalf - std::min(k, low_bins),
                                kHalf - 1 + std::min(k, high_bins), *map);
    if (d < best_divergence) {
      best_divergence = d;
      best = range;
    }
  }
  return best;
}

}  // namespace intact
