#include "calib/gains.h"

#include <algorithm>
#include <cmath>

#include "calib/fit.h"
#include "quant/scheme.h"

namespace intact {
namespace {

constexpr double kFloor = 1e-3;  // Of the largest channel, for a and w.
constexpr double kLeastChannel = 1.0 / 16;
constexpr std::uint64_t kLeastValues = 512;
constexpr double kMethodMustGain = 0.8;  // Against minmax.
constexpr double kGainsMustGain = 0.9;

const GemmSite& reader(const RangeChoice& c, std::size_t r) {
  return c.placement.sites[c.placement.tensors[c.tensor].readers[r]];
}

bool is_depthwise(const GemmSite& site) {
  return site.kind == GemmKind::kConv && site.groups > 1 && site.taps == site.spatial;
}

void lift(std::vector<double>& x) {
  const double floor = kFloor * *std::max_element(x.begin(), x.end()) + 1e-12;
  for (double& v : x) v = std::max(v, floor);
}

std::vector<float> gains_for(const RangeChoice& c, double alpha) {
  const std::size_t channels = c.seen.channel_min.size();
  std::vector<double> a(channels), w(channels, 0.0);
  for (std::size_t i = 0; i < channels; ++i)
    a[i] = static_cast<double>(
        std::max(std::abs(c.seen.channel_min[i]), std::abs(c.seen.channel_max[i])));
  bool depthwise = true;
  for (std::size_t r = 0; r < c.readers.size(); ++r) {
    const GemmSite& site = reader(c, r);
    depthwise &= is_depthwise(site);
    const std::vector<float> m = weight_matrix(site, *c.graph.constant(site.weight));
    for (std::size_t n = 0; n < site.groups * site.rows; ++n)
      for (std::size_t k = 0; k < site.taps; ++k) {
        double& most = w[channel_of_tap(site, n / site.rows, k)];
        most = std::max(most, std::abs(static_cast<double>(m[n * site.taps + k])));
      }
  }
  lift(a);
  lift(w);
  std::vector<double> e(channels);
  for (std::size_t i = 0; i < channels; ++i)
    e[i] = std::pow(a[i], alpha) / (depthwise ? 1.0 : std::pow(w[i], 1 - alpha));
  const double most = *std::max_element(e.begin(), e.end());
  std::vector<float> gain;
  for (const double x : e)
    gain.push_back(static_cast<float>(1 / std::max(x / most, kLeastChannel)));
  return gain;
}

// The readers' relative error, summed over them.
Result<double> cost(const RangeChoice& c, const TensorDecision& d, MatrixEngine& engine,
                    ThreadPool& pool) {
  double total = 0;
  for (std::size_t r = 0; r < c.readers.size(); ++r) {
    const GemmSite& site = reader(c, r);
    const std::vector<float> m = weight_matrix(site, *c.graph.constant(site.weight));
    std::vector<float> tap_gain(site.groups * site.taps, 1.0f);
    if (!d.gain.empty())
      for (std::size_t i = 0; i < tap_gain.size(); ++i)
        tap_gain[i] = d.gain[channel_of_tap(site, i / site.taps, i % site.taps)];
    std::vector<float> scaled = m;
    for (std::size_t i = 0; i < m.size(); ++i)
      scaled[i] /= tap_gain[i / (site.rows * site.taps) * site.taps + i % site.taps];
    const AxisView view{1, site.channels(), m.size() / site.channels()};
    INTACT_ASSIGN(const auto scales, choose_weight_scales(scaled, view, {}, 1.0f));
    std::vector<std::int8_t> codes(m.size());
    quantize_weights(scaled, view, scales, {-127, 127}, codes);
    for (std::size_t i = 0; i < m.size(); ++i)
      scaled[i] = static_cast<float>(codes[i]) * scales[i / view.inner];
    std::vector<float> x_hat = c.readers[r].x_hat;
    for (std::size_t i = 0; i < x_hat.size(); ++i) x_hat[i] *= tap_gain[i % tap_gain.size()];
    fake_quantize(x_hat, d.map, x_hat);
    INTACT_ASSIGN(const RowError e, row_error(c.readers[r].x, m, x_hat, scaled, site.groups,
                                              site.rows, site.taps, engine, pool));
    total += e.noise / (e.signal + 1e-30);
  }
  return total;
}

}  // namespace

Result<TensorDecision> choose_map(const RangeChoice& c, MatrixEngine& engine, ThreadPool& pool) {
  const QuantTensor& t = c.placement.tensors[c.tensor];
  TensorDecision best = c.plain;
  const bool may_gain = c.gains && (t.only_products || !t.shared) &&
                        c.seen.values_per_channel >= kLeastValues && !c.seen.channel_min.empty() &&
                        c.seen.channel_min.size() == input_channels(reader(c, 0));
  const bool also_minmax = c.also_minmax && best.gain.empty();
  if (!may_gain && !also_minmax) return best;
  INTACT_ASSIGN(double least, cost(c, best, engine, pool));
  if (also_minmax) {
    INTACT_ASSIGN(
        const Affine map,
        map_of({std::min(c.seen.stats.min, 0.0f), std::max(c.seen.stats.max, 0.0f)}, c.target));
    const TensorDecision minmax{map, {}};
    INTACT_ASSIGN(const double e, cost(c, minmax, engine, pool));
    if (e * kMethodMustGain <= least) {
      best = minmax;
      least = e;
    }
  }
  if (!may_gain) return best;
  const double to_beat = least * kGainsMustGain;
  double least_gained = to_beat;
  std::vector<double> alphas = c.alphas;
  if (alphas.empty()) alphas = {0.5, 0.75, 1.0};
  for (const double alpha : alphas) {
    TensorDecision d;
    d.gain = gains_for(c, alpha);
    const auto map = gained_map(c.seen, d.gain, c.target);
    if (!map) continue;
    d.map = *map;
    INTACT_ASSIGN(const double e, cost(c, d, engine, pool));
    if (e < least_gained) {
      least_gained = e;
      best = d;
    }
  }
  return best;
}

Tensor through_codes(const Tensor& x, int channel_axis, const TensorDecision& decision) {
  Tensor y = x.clone();
  const auto values = y.mutable_values<float>();
  if (decision.gain.empty()) {
    fake_quantize(values, decision.map, values);
    return y;
  }
  const AxisView view = axis_view(x.shape(), static_cast<std::size_t>(channel_axis));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] *= decision.gain[i / view.inner % view.channels];
  fake_quantize(values, decision.map, values);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] /= decision.gain[i / view.inner % view.channels];
  return y;
}

}  // namespace intact
