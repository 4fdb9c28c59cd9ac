#include "calib/decisions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace intact {

RangeTarget activations_of(const std::string& target) {
  if (target == "tensorrt") return {{-128, 127}, true};
  return {{0, 255}, false};
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

Result<Decisions> decide_plainly(const Graph& graph, const Placement& placement,
                                 const std::vector<Range>& ranges, const RangeTarget& target,
                                 const WeightOptions& weights, bool one_scale) {
  Decisions d;
  for (std::size_t i = 0; i < placement.tensors.size(); ++i) {
    auto map = map_of(ranges[i], target);
    if (!map)
      return fail(map.error().with_context(
          fmt::format("tensor '{}'", graph.value(placement.tensors[i].value).name)));
    d.tensors.push_back({*map, {}});
  }
  for (const GemmSite& site : placement.sites) {
    const Node& node = graph.nodes[static_cast<std::size_t>(site.node)];
    const Tensor& w = *graph.constant(site.weight);
    const Affine& map = d.tensors[placement.tensor_of.at(site.input)].map;
    SiteDecision s;
    s.bias = bias_of(graph, site);
    const std::vector<float> bias(s.bias.begin(), s.bias.end());
    const AxisView view = axis_view(w.shape(), static_cast<std::size_t>(site.weight_axis));
    auto scales = choose_weight_scales(w.values<float>(), view, bias, map.scale, weights);
    if (!scales) return fail(scales.error().with_context(fmt::format("node '{}'", node.name)));
    s.scales = std::move(*scales);
    if (one_scale) share_scale(s.scales);
    s.codes.resize(view.size());
    quantize_weights(w.values<float>(), view, s.scales, weights.codes, s.codes);
    s.fit = "w/rne";
    d.sites.push_back(std::move(s));
  }
  return d;
}

}  // namespace intact
