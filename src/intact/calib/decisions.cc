#include "calib/decisions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "calib/parts.h"
#include "quant/correct.h"

namespace intact {

RangeTarget activations_of(const std::string& target) {
  if (target == "tensorrt") return {{-128, 127}, true};
  return {{0, 255}, false};
}

RangeTarget target_of(const PairOperand& operand, const RangeTarget& activations) {
  // Nothing is computed of an output's codes: any scale will do.
  return {activations.codes, activations.symmetric || operand.right,
          operand.output ? ScaleSet::kAny : activations.scales};
}

RangeTarget target_of(const QuantTensor& t, RangeTarget target) {
  if (t.sum && target.scales == ScaleSet::kActivation) target.scales = ScaleSet::kSum;
  return target;
}

bool is_uniform(std::span<const float> gain) {
  return std::all_of(gain.begin(), gain.end(), [&](float g) { return g == gain[0]; });
}

void share_scale(std::vector<float>& scales) {
  if (!scales.empty())
    std::fill(scales.begin(), scales.end(), *std::max_element(scales.begin(), scales.end()));
}

std::vector<double> bias_of(const Graph& graph, const GemmSite& site) {
  const Tensor* b = graph.constant(site.bias);
  if (b == nullptr) return {};
  return to_float64(*b);
}

std::vector<double> least_scales(std::span<const double> bias, float input_scale) {
  std::vector<double> least;
  for (const double b : bias)
    least.push_back(std::abs(b) / (static_cast<double>(input_scale) * 0x1p30));
  return least;
}

Result<Affine> gained_map(const Observation& seen, std::span<const float> gain,
                          const RangeTarget& target) {
  Range range;
  for (std::size_t c = 0; c < gain.size(); ++c) {
    range.lo = std::min(range.lo, seen.channel_min[c] * gain[c]);
    range.hi = std::max(range.hi, seen.channel_max[c] * gain[c]);
  }
  return map_of(range, target);
}

std::vector<float> gained_weights(const GemmSite& site, const Tensor& weight,
                                  std::span<const float> gain) {
  std::vector<float> m = weight_matrix(site, weight);
  if (gain.empty()) return m;
  for (std::size_t n = 0; n < site.groups * site.rows; ++n)
    for (std::size_t k = 0; k < site.taps; ++k)
      m[n * site.taps + k] /= gain[channel_of_tap(site, n / site.rows, k)];
  return m;
}

namespace {

Result<TensorDecision> decide_tensor(const QuantTensor& t, const Observation* seen,
                                     const Range& range, const RangeTarget& all) {
  TensorDecision d;
  if (t.given) {
    d.map = *t.given;
    return d;
  }
  const RangeTarget target = target_of(t, all);
  INTACT_ASSIGN(d.map, map_of(range, target, seen != nullptr ? &seen->stats.histogram : nullptr));
  if (seen == nullptr) return d;
  d.gain = part_gains(t.parts, seen->channel_min, seen->channel_max);
  if (target.scales != ScaleSet::kAny)
    for (float& g : d.gain) g = scale_near(g, ScaleSet::kSum);
  if (!d.gain.empty()) {
    INTACT_ASSIGN(d.map, gained_map(*seen, d.gain, target));
  }
  return d;
}

// (15): adds to the bias what rounding the weights took from the outputs' means.
void correct_bias(const Graph& graph, const GemmSite& site, const Observation& seen,
                  std::span<const float> m, std::span<const float> gain, SiteDecision& s) {
  if (!site.has_bias_input() || seen.channel_mean.size() != input_channels(site)) return;
  const std::vector<double> coverage = tap_coverage(graph, site, seen.shape);
  std::vector<double> mean;  // By tap; padding is zero.
  for (std::size_t c = 0; c < seen.channel_mean.size(); ++c)
    for (const double inside : coverage)
      mean.push_back(seen.channel_mean[c] * inside *
                     (gain.empty() ? 1.0 : static_cast<double>(gain[c])));
  std::vector<float> rounded(m.size());
  const std::vector<std::int8_t> codes = weight_rows<std::int8_t>(site, s.codes);
  for (std::size_t i = 0; i < m.size(); ++i)
    rounded[i] = static_cast<float>(codes[i]) * s.scales[i / site.taps / site.share];
  const WeightMatrix shape{site.groups, site.rows, site.taps, site.spatial};
  const std::vector<double> change = bias_correction(m, rounded, shape, mean, mean);
  s.bias.resize(site.channels(), 0.0);
  for (std::size_t n = 0; n < change.size(); ++n)
    s.bias[n / site.share] += change[n] / static_cast<double>(site.share);
}

}  // namespace

Result<Decisions> decide_plainly(const Graph& graph, const Placement& placement,
                                 const Observations& seen, const Ranges& ranges,
                                 const RangeTarget& target, const WeightOptions& weights,
                                 bool one_scale) {
  Decisions d;
  const auto seen_of = [&](std::size_t i) {
    return seen.tensors.empty() ? nullptr : &seen.tensors[i];
  };
  for (std::size_t i = 0; i < placement.tensors.size(); ++i) {
    auto decision = decide_tensor(placement.tensors[i], seen_of(i), ranges.tensors[i], target);
    if (!decision)
      return fail(decision.error().with_context(
          fmt::format("tensor '{}'", graph.value(placement.tensors[i].value).name)));
    d.tensors.push_back(std::move(*decision));
  }
  for (std::size_t i = 0; i < placement.operands.size(); ++i) {
    const PairOperand& o = placement.operands[i];
    const bool looked_at = !seen.operands.empty() && !o.share;
    auto map = map_of(ranges.operands[i], target_of(o, target),
                      looked_at ? &seen.operands[i].histogram : nullptr);
    if (!map)
      return fail(map.error().with_context(fmt::format("tensor '{}'", graph.value(o.source).name)));
    d.operands.push_back(*map);
  }
  for (const GemmSite& site : placement.sites) {
    const Node& node = graph.nodes[static_cast<std::size_t>(site.node)];
    const Tensor& w = *graph.constant(site.weight);
    const std::size_t input = placement.tensor_of.at(site.input);
    const TensorDecision& x = d.tensors[input];
    SiteDecision s;
    s.bias = bias_of(graph, site);
    const std::vector<float> bias(s.bias.begin(), s.bias.end());
    const AxisView view = axis_view(w.shape(), static_cast<std::size_t>(site.weight_axis));
    const std::vector<float> m = gained_weights(site, w, x.gain);
    const std::vector<float> real = weight_layout<float>(site, m, w.shape());
    auto scales = choose_weight_scales(real, view, bias, x.map.scale, weights);
    if (!scales) return fail(scales.error().with_context(fmt::format("node '{}'", node.name)));
    s.scales = std::move(*scales);
    if (one_scale && is_uniform(x.gain))
      share_scale(s.scales);  // Gains are for channels of their own.
    s.codes.resize(view.size());
    quantize_weights(real, view, s.scales, weights.codes, s.codes);
    s.fit = "w/rne";
    if (const Observation* o = seen_of(input)) correct_bias(graph, site, *o, m, x.gain, s);
    d.sites.push_back(std::move(s));
  }
  return d;
}

}  // namespace intact
