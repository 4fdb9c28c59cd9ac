#include "calib/gains.h"

#include <algorithm>
#include <cmath>
#include <optional>

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

// What decisions cost: the readers' relative errors, summed over them.
class Costs {
 public:
  Costs(const RangeChoice& c, ThreadPool& pool) : c_(c), pool_(pool) {}

  Result<double> of(const TensorDecision& d) {
    if (errors_.empty()) start();  // Many choices have one candidate, and never ask.
    double total = 0;
    for (std::size_t r = 0; r < errors_.size(); ++r) {
      const GemmSite& site = reader(c_, r);
      std::vector<float> tap_gain(site.groups * site.taps, 1.0f);
      if (!d.gain.empty())
        for (std::size_t i = 0; i < tap_gain.size(); ++i)
          tap_gain[i] = d.gain[channel_of_tap(site, i / site.taps, i % site.taps)];
      std::vector<float> scaled = weights_[r];
      if (!d.gain.empty())
        for (std::size_t n = 0; n < site.groups * site.rows; ++n)
          for (std::size_t k = 0; k < site.taps; ++k)
            scaled[n * site.taps + k] /= tap_gain[n / site.rows * site.taps + k];
      const AxisView view{1, site.channels(), scaled.size() / site.channels()};
      INTACT_ASSIGN(const auto scales, choose_weight_scales(scaled, view, {}, 1.0f, c_.weights));
      std::vector<std::int8_t> codes(scaled.size());
      quantize_weights(scaled, view, scales, {-127, 127}, codes);
      for (std::size_t c = 0; c < view.channels; ++c)
        for (std::size_t i = c * view.inner; i < (c + 1) * view.inner; ++i)
          scaled[i] = static_cast<float>(codes[i]) * scales[c];
      errors_[r].add_candidate(scaled);
      const std::size_t width = tap_gain.size();
      errors_[r].add(candidates_,
                     [&](std::size_t first, std::size_t count, std::vector<float>& room) {
                       room.resize(count * width);
                       const float* x_hat = c_.readers[r].x_hat.data() + first * width;
                       for (std::size_t i = 0; i < room.size(); i += width)
                         for (std::size_t k = 0; k < width; ++k)
                           room[i + k] = x_hat[i + k] * tap_gain[k];
                       fake_quantize(room, d.map, room);
                       return room.data();
                     });
      total += errors_[r].error(candidates_);
    }
    ++candidates_;
    return total;
  }

 private:
  void start() {
    for (std::size_t r = 0; r < c_.readers.size(); ++r) {
      const GemmSite& site = reader(c_, r);
      weights_.push_back(weight_matrix(site, *c_.graph.constant(site.weight)));
      errors_.emplace_back(weights_[r], site.groups, site.rows, site.taps, pool_);
      errors_[r].start(c_.readers[r].x);
    }
  }

  const RangeChoice& c_;
  ThreadPool& pool_;
  std::vector<std::vector<float>> weights_;
  std::vector<RowErrors> errors_;
  std::size_t candidates_ = 0;
};

// Who multiplies the channels by a gain that is no power of two: the products that make them, as
// far as their weights' scales can follow, or a Mul on an input of the graph, which all engines
// compute alike.
enum class Absorber : std::uint8_t { kNone, kMakers, kInput };

Absorber absorber(const RangeChoice& c) {
  const QuantTensor& t = c.placement.tensors[c.tensor];
  if (c.target.scales == ScaleSet::kAny) return Absorber::kNone;
  if (c.maker_scales.size() == input_channels(reader(c, 0))) return Absorber::kMakers;
  const auto& inputs = c.graph.inputs;
  const bool is_input = std::find(inputs.begin(), inputs.end(), t.value) != inputs.end();
  return is_input && t.only_products ? Absorber::kInput : Absorber::kNone;
}

// The decision with that scale of the set, and gains for what it is off by; those of makers do not
// grow where a channel's extremes would be cut off.
TensorDecision absorb(const RangeChoice& c, Absorber by, float scale, TensorDecision d) {
  const float off = scale / d.map.scale;
  d.map.scale = scale;
  d.gain.resize(input_channels(reader(c, 0)), 1.0f);
  const Range span = span_of(d.map);
  const bool known = c.seen.channel_max.size() == d.gain.size();
  const bool even = is_uniform(d.gain) && is_uniform(c.maker_scales);  // One scale stays one.
  for (std::size_t i = 0; i < d.gain.size(); ++i) {
    const float ideal = d.gain[i] * off;
    if (by == Absorber::kInput) {
      d.gain[i] = ideal;
      continue;
    }
    const auto inside = [&](float gain) {
      const float half = 0.5f * scale;
      return c.seen.channel_min[i] * gain >= span.lo - half &&
             c.seen.channel_max[i] * gain <= span.hi + half;
    };
    const float maker = c.maker_scales[i];
    d.gain[i] = scale_near(maker * ideal, c.weights.scales) / maker;
    if (known && d.gain[i] > ideal && inside(ideal) && !inside(d.gain[i]))
      d.gain[i] = scale_below(maker * ideal, c.weights.scales) / maker;
  }
  if (even) d.gain.assign(d.gain.size(), *std::min_element(d.gain.begin(), d.gain.end()));
  if (is_uniform(d.gain) && d.gain[0] == 1.0f) d.gain.clear();
  return d;
}

// The candidates of gains.h, with scales of that target.
Result<TensorDecision> choose_among(const RangeChoice& c, const RangeTarget& target, Costs& costs) {
  const QuantTensor& t = c.placement.tensors[c.tensor];
  TensorDecision best = c.plain;
  if (best.gain.empty()) {
    INTACT_ASSIGN(best.map, map_of(c.range, target, &c.seen.stats.histogram));
  }
  const bool may_gain = c.gains && (t.only_products || !t.shared) &&
                        c.seen.values_per_channel >= kLeastValues && !c.seen.channel_min.empty() &&
                        c.seen.channel_min.size() == input_channels(reader(c, 0));
  const bool also_minmax = c.also_minmax && best.gain.empty();
  if (!may_gain && !also_minmax) return best;
  INTACT_ASSIGN(double least, costs.of(best));
  if (also_minmax && target.scales != ScaleSet::kAny) {
    const Range span = span_of(best.map);
    const float scale = best.map.scale;
    for (const float next : {scale_above(std::nextafter(scale, HUGE_VALF), target.scales),
                             scale_below(std::nextafter(scale, 0.0f), target.scales)}) {
      const TensorDecision d{map_with(next, span, target, &c.seen.stats.histogram), {}};
      INTACT_ASSIGN(const double e, costs.of(d));
      if (e < least) {
        best = d;
        least = e;
      }
    }
  }
  if (also_minmax) {
    INTACT_ASSIGN(
        const Affine map,
        map_of({std::min(c.seen.stats.min, 0.0f), std::max(c.seen.stats.max, 0.0f)}, target));
    const TensorDecision minmax{map, {}};
    INTACT_ASSIGN(const double e, costs.of(minmax));
    if (e * kMethodMustGain <= least) {
      best = minmax;
      least = e;
    }
  }
  if (!may_gain) return best;
  double least_gained = least * kGainsMustGain;
  std::vector<double> alphas = c.alphas;
  if (alphas.empty()) alphas = {0.5, 0.75, 1.0};
  for (const double alpha : alphas) {
    TensorDecision d;
    d.gain = gains_for(c, alpha);
    if (target.scales != ScaleSet::kAny)
      for (float& g : d.gain) g = scale_near(g, ScaleSet::kSum);
    const auto map = gained_map(c.seen, d.gain, target);
    if (!map) continue;
    d.map = *map;
    INTACT_ASSIGN(const double e, costs.of(d));
    if (e < least_gained) {
      least_gained = e;
      best = d;
    }
  }
  return best;
}

}  // namespace

Result<TensorDecision> choose_map(const RangeChoice& c, ThreadPool& pool) {
  Costs costs(c, pool);
  const Absorber by = absorber(c);
  if (by == Absorber::kNone) return choose_among(c, c.target, costs);
  RangeTarget free = c.target;
  free.scales = ScaleSet::kAny;
  INTACT_ASSIGN(const TensorDecision ideal, choose_among(c, free, costs));
  std::optional<TensorDecision> best;
  double least = 0;
  for (const float scale :
       {scale_near(ideal.map.scale, c.target.scales), scale_above(ideal.map.scale, c.target.scales),
        scale_below(ideal.map.scale, c.target.scales)}) {
    TensorDecision d = absorb(c, by, scale, ideal);
    if (best && d.map.scale == best->map.scale) continue;
    INTACT_ASSIGN(const double e, costs.of(d));
    if (!best || e < least) {
      best = std::move(d);
      least = e;
    }
  }
  if (by == Absorber::kMakers) return *best;
  // The Mul must be worth it.
  INTACT_ASSIGN(TensorDecision plain, choose_among(c, c.target, costs));
  INTACT_ASSIGN(const double e, costs.of(plain));
  return least < e * kGainsMustGain ? *best : plain;
}

Tensor codes_of_tensor(const Tensor& x, int channel_axis, const TensorDecision& decision) {
  const bool is_signed = decision.map.codes.lo < 0;
  Tensor codes(is_signed ? Dtype::kInt8 : Dtype::kUint8, x.shape());
  std::span<const float> values = x.values<float>();
  std::vector<float> gained;
  if (!decision.gain.empty()) {
    gained.assign(values.begin(), values.end());
    const AxisView view = axis_view(x.shape(), static_cast<std::size_t>(channel_axis));
    for (std::size_t i = 0; i < gained.size(); i += view.inner)
      for (std::size_t j = 0; j < view.inner; ++j)
        gained[i + j] *= decision.gain[i / view.inner % view.channels];
    values = gained;
  }
  if (is_signed)
    quantize(values, decision.map, codes.mutable_values<std::int8_t>());
  else
    quantize(values, decision.map, codes.mutable_values<std::uint8_t>());
  return codes;
}

}  // namespace intact
