#include "passes/affine_map.h"

#include <algorithm>
#include <cmath>

namespace intact {
namespace {

bool is_float_constant(const Graph& graph, ValueId id) {
  const Tensor* t = graph.constant(id);
  return t != nullptr && is_float(t->dtype());
}

// True when the bias of a Gemm varies along its columns only.
bool is_row(const Tensor& t, std::size_t n) {
  if (t.size() != 1 && t.size() != static_cast<std::int64_t>(n)) return false;
  return t.rank() == 0 || t.shape().back() == t.size();
}

std::vector<double> spread(std::vector<double> v, std::size_t n) {
  if (v.size() == 1 && n != 1) v.assign(n, v[0]);
  return v;
}

bool all_finite(const std::vector<double>& v) {
  return std::all_of(v.begin(), v.end(), [](double x) { return std::isfinite(x); });
}

// The elements of a constant that varies along the layer's channels only, one a channel.
std::optional<std::vector<double>> per_channel(const Tensor& t, const Layer& layer) {
  if (layer.output_rank != 0 ? t.rank() > layer.output_rank : t.rank() > 1) return std::nullopt;
  if (t.size() != 1) {
    if (t.size() != static_cast<std::int64_t>(layer.channels) || t.rank() < layer.channel_axis ||
        t.shape()[t.rank() - layer.channel_axis] != t.size())
      return std::nullopt;
  }
  return spread(to_float64(t), layer.channels);
}

// w[o] *= scale[o], where the weights are [outer, channels, inner] in memory.
Tensor scaled(const Tensor& w, const std::vector<double>& scale, std::size_t outer,
              std::size_t inner) {
  auto v = to_float64(w);
  std::size_t i = 0;
  for (std::size_t o = 0; o < outer; ++o)
    for (const double m : scale)
      for (std::size_t k = 0; k < inner; ++k) v[i++] *= m;
  return from_float64(w.dtype(), w.shape(), v);
}

std::size_t product(const Shape& s, std::size_t from) {
  std::size_t p = 1;
  for (std::size_t i = from; i < s.size(); ++i) p *= static_cast<std::size_t>(s[i]);
  return p;
}

Tensor scaled_weights(const Layer& layer, const Node& node, const Tensor& w,
                      const std::vector<double>& scale) {
  const Shape& s = w.shape();
  switch (layer.kind) {
    case Layer::Kind::kConv:
      return scaled(w, scale, 1, product(s, 1));
    case Layer::Kind::kConvTranspose: {
      // [C_in, C_out / group, k...]: input channel i belongs to group i / (C_in / group).
      const auto groups = static_cast<std::size_t>(node.get_int("group", 1));
      const auto inputs = static_cast<std::size_t>(s[0]);
      const auto each = static_cast<std::size_t>(s[1]);
      std::vector<double> rows;
      for (std::size_t i = 0; i < inputs; ++i)
        for (std::size_t j = 0; j < each; ++j)
          rows.push_back(scale[i / (inputs / groups) * each + j]);
      return scaled(w, rows, 1, product(s, 2));
    }
    case Layer::Kind::kGemm:
      if (node.get_int("transB", 0) != 0) return scaled(w, scale, 1, product(s, 1));
      return scaled(w, scale, static_cast<std::size_t>(s[0]), 1);
    case Layer::Kind::kMatMul:
      return scaled(w, scale, static_cast<std::size_t>(s[0]), 1);
  }
  return {};
}

}  // namespace

std::optional<Layer> layer_of(const Graph& graph, const Node& node) {
  if (!is_float_constant(graph, node.in(1))) return std::nullopt;
  const Tensor& w = *graph.constant(node.in(1));
  const Shape& s = w.shape();
  const ValueId b = node.in(2);
  if (b != kNoValue && !is_float_constant(graph, b)) return std::nullopt;
  const auto fits = [&](std::int64_t channels) {
    return b == kNoValue || graph.constant(b)->shape() == Shape{channels};
  };
  if (node.is("Conv") && s.size() >= 3) {
    if (!fits(s[0])) return std::nullopt;
    return Layer{Layer::Kind::kConv, static_cast<std::size_t>(s[0]), s.size(), s.size() - 1};
  }
  if (node.is("ConvTranspose") && s.size() >= 3) {
    const std::int64_t group = node.get_int("group", 1);
    if (group < 1 || s[0] % group != 0 || !fits(s[1] * group)) return std::nullopt;
    return Layer{Layer::Kind::kConvTranspose, static_cast<std::size_t>(s[1] * group), s.size(),
                 s.size() - 1};
  }
  if (node.is("Gemm") && s.size() == 2) {
    const auto n = static_cast<std::size_t>(s[node.get_int("transB", 0) != 0 ? 0 : 1]);
    if (b != kNoValue && !is_row(*graph.constant(b), n)) return std::nullopt;
    return Layer{Layer::Kind::kGemm, n, 2, 1};
  }
  if (node.is("MatMul") && s.size() == 2)
    return Layer{Layer::Kind::kMatMul, static_cast<std::size_t>(s[1]), 0, 1};
  return std::nullopt;
}

std::optional<AffineMap> batch_norm_map(const Graph& graph, const Node& node) {
  if (node.get_int("training_mode", 0) != 0 || node.get_int("spatial", 1) == 0) return std::nullopt;
  for (std::size_t i = 1; i < node.outputs.size(); ++i)
    if (node.outputs[i] != kNoValue) return std::nullopt;
  for (std::size_t i = 1; i <= 4; ++i)
    if (!is_float_constant(graph, node.in(i))) return std::nullopt;
  AffineMap map;
  map.scale = to_float64(*graph.constant(node.in(1)));
  map.shift = to_float64(*graph.constant(node.in(2)));
  const auto mean = to_float64(*graph.constant(node.in(3)));
  const auto var = to_float64(*graph.constant(node.in(4)));
  const std::size_t n = map.scale.size();
  if (map.shift.size() != n || mean.size() != n || var.size() != n) return std::nullopt;
  const double epsilon = static_cast<double>(node.get_float("epsilon", 1e-5F));
  for (std::size_t i = 0; i < n; ++i) {
    map.scale[i] /= std::sqrt(var[i] + epsilon);
    map.shift[i] -= mean[i] * map.scale[i];
  }
  if (!all_finite(map.scale) || !all_finite(map.shift)) return std::nullopt;
  return map;
}

std::optional<AffineMap> affine_map_of(const Graph& graph, const Node& node, std::size_t data_input,
                                       const Layer& layer) {
  if (node.is("BatchNormalization")) {
    auto map = batch_norm_map(graph, node);
    // A MatMul of unknown rank may have its channels elsewhere than axis 1.
    if (!map || map->scale.size() != layer.channels || layer.output_rank == 0) return std::nullopt;
    return map;
  }
  const Tensor* t = graph.constant(node.in(1 - data_input));
  if (t == nullptr || !is_float(t->dtype())) return std::nullopt;
  auto c = per_channel(*t, layer);
  if (!c || !all_finite(*c)) return std::nullopt;
  AffineMap map{std::vector<double>(layer.channels, 1.0), std::vector<double>(layer.channels, 0.0)};
  const bool first = data_input == 0;
  if (node.is("Mul")) {
    map.scale = std::move(*c);
  } else if (node.is("Div") && first) {
    for (std::size_t i = 0; i < c->size(); ++i) map.scale[i] = 1.0 / (*c)[i];
    if (!all_finite(map.scale)) return std::nullopt;
  } else if (node.is("Add")) {
    map.shift = std::move(*c);
  } else if (node.is("Sub")) {
    for (std::size_t i = 0; i < c->size(); ++i) map.shift[i] = first ? -(*c)[i] : (*c)[i];
    if (!first) map.scale.assign(layer.channels, -1.0);
  } else {
    return std::nullopt;
  }
  return map;
}

std::optional<Node> fold(Editor& editor, const Layer& layer, std::int32_t n, const AffineMap& map) {
  const Node node = editor.node(n);
  Node out = node;
  out.outputs.clear();
  const Graph& graph = editor.graph();
  const auto differs_from = [](const std::vector<double>& v, double x) {
    return std::any_of(v.begin(), v.end(), [&](double e) { return e != x; });
  };
  const bool shifts = differs_from(map.shift, 0.0);
  if (layer.kind == Layer::Kind::kMatMul && shifts) return std::nullopt;

  const ValueId w = node.in(1);
  const Dtype dtype = graph.constant(w)->dtype();
  if (differs_from(map.scale, 1.0))
    out.inputs[1] =
        editor.changed_constant(n, w, scaled_weights(layer, node, *graph.constant(w), map.scale));
  const ValueId old_bias = node.in(2);
  if (layer.kind == Layer::Kind::kMatMul || (old_bias == kNoValue && !shifts)) return out;

  std::vector<double> bias(layer.channels, 0.0);
  if (old_bias != kNoValue) bias = spread(to_float64(*graph.constant(old_bias)), layer.channels);
  const double beta =
      layer.kind == Layer::Kind::kGemm ? static_cast<double>(node.get_float("beta", 1.0F)) : 1.0;
  for (std::size_t c = 0; c < bias.size(); ++c)
    bias[c] = beta * bias[c] * map.scale[c] + map.shift[c];
  Tensor folded = from_float64(dtype, {static_cast<std::int64_t>(layer.channels)}, bias);
  out.attributes.erase("beta");
  out.inputs.resize(3, kNoValue);
  out.inputs[2] = old_bias == kNoValue
                      ? editor.add_constant(graph.value(w).name + ".bias", std::move(folded))
                      : editor.changed_constant(n, old_bias, std::move(folded));
  return out;
}

}  // namespace intact
