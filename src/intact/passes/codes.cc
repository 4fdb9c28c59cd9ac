#include "passes/codes.h"

#include <algorithm>
#include <cmath>

namespace intact {
namespace {

// Whether the map has as many scales as the axis of the tensor that it speaks of has indices; makes
// the axis count from the front. A tensor of unknown shape fits none.
bool fits_axis(const Graph& graph, ValueId v, Quant& map) {
  const auto& shape = graph.value(v).type.shape;
  if (!shape) return false;
  const auto rank = static_cast<int>(shape->size());
  if (map.axis < 0) map.axis += rank;
  if (map.axis < 0 || map.axis >= rank) return false;
  const Dim& dim = (*shape)[static_cast<std::size_t>(map.axis)];
  return dim.known() && static_cast<std::size_t>(dim.size) == map.scale.size();
}

}  // namespace

std::optional<Quant> map_of(const Graph& graph, const Node& node, Dtype* dtype) {
  const Tensor* scale = graph.constant(node.in(1));
  const Tensor* zero = graph.constant(node.in(2));
  if (scale == nullptr || scale->dtype() != Dtype::kFloat32 || scale->rank() > 1)
    return std::nullopt;
  if (node.in(2) != kNoValue && (zero == nullptr || zero->size() != scale->size()))
    return std::nullopt;
  if (node.get_int("block_size", 0) != 0) return std::nullopt;
  Quant map;
  const auto scales = scale->values<float>();
  map.scale.assign(scales.begin(), scales.end());
  if (!std::all_of(scales.begin(), scales.end(), [](float s) { return std::isfinite(s) && s > 0; }))
    return std::nullopt;
  map.zero_point.assign(scales.size(), 0);
  *dtype = zero != nullptr ? zero->dtype() : static_cast<Dtype>(node.get_int("output_dtype", 0));
  if (*dtype == Dtype::kUndefined) {
    const Tensor* codes = graph.constant(node.in(0));
    *dtype = node.op == "QuantizeLinear" ? Dtype::kUint8
             : codes != nullptr          ? codes->dtype()
                                         : graph.value(node.in(0)).type.dtype;
  }
  if (*dtype != Dtype::kUint8 && *dtype != Dtype::kInt8 && *dtype != Dtype::kInt32)
    return std::nullopt;
  if (zero != nullptr) {
    const auto zeros = to_int64(*zero);
    map.zero_point.assign(zeros.begin(), zeros.end());
  }
  if (scales.size() == 1) return map;
  map.axis = static_cast<int>(node.get_int("axis", 1));
  if (!fits_axis(graph, node.in(0), map)) return std::nullopt;
  return map;
}

std::optional<Dequantized> dequantized(const Editor& editor, ValueId value) {
  if (value == kNoValue) return std::nullopt;
  Dequantized d;
  d.node = editor.producer(value, "DequantizeLinear");
  if (d.node < 0) return std::nullopt;
  const Node& node = editor.node(d.node);
  auto map = map_of(editor.graph(), node, &d.dtype);
  if (!map) return std::nullopt;
  d.map = std::move(*map);
  d.codes = node.in(0);
  return d;
}

std::optional<Dequantized> dequantized_codes(const Editor& editor, ValueId value) {
  auto d = dequantized(editor, value);
  if (!d || d->dtype != Dtype::kUint8 || !d->per_tensor()) return std::nullopt;
  const auto& known = editor.graph().value(d->codes).quant;
  if (known && *known != d->map) return std::nullopt;
  return d;
}

std::optional<Dequantized> dequantized_image(const Editor& editor, ValueId value) {
  auto d = dequantized(editor, value);
  if (!d || d->dtype != Dtype::kUint8 || d->map.axis != 1) return std::nullopt;
  const std::vector<float>& s = d->map.scale;
  if (std::count(s.begin(), s.end(), s[0]) != static_cast<std::ptrdiff_t>(s.size()))
    return std::nullopt;
  const auto& known = editor.graph().value(d->codes).quant;
  if (known && *known != d->map) return std::nullopt;
  return d;
}

bool copies_rows(const Node& conv, const Tensor* w) {
  constexpr std::int64_t kMaxChannels = 4;
  if (w == nullptr || w->rank() != 4) return false;
  const auto dilations = conv.get_ints("dilations", {1, 1});
  const auto pads = conv.get_ints("pads");
  return w->shape()[1] <= kMaxChannels && w->shape()[2] * w->shape()[3] > 1 &&
         conv.get_int("group", 1) == 1 && dilations.back() == 1 &&
         std::none_of(pads.begin(), pads.end(), [](std::int64_t p) { return p < 0; });
}

std::optional<Quant> quantize_map(const Graph& graph, const Node& node) {
  if (!node.is("QuantizeLinear")) return std::nullopt;
  Dtype dtype = Dtype::kUndefined;
  auto map = map_of(graph, node, &dtype);
  if (!map || dtype != Dtype::kUint8 || map->scale.size() != 1) return std::nullopt;
  const auto& known = graph.value(node.out(0)).quant;
  if (known && *known != *map) return std::nullopt;
  return map;
}

bool annotate(Graph& graph, ValueId codes, const Quant& map) {
  auto& known = graph.value(codes).quant;
  if (known && *known != map) return false;
  known = map;
  // Files need not say what QuantizeLinear makes.
  Dtype& dtype = graph.value(codes).type.dtype;
  if (dtype == Dtype::kUndefined) dtype = Dtype::kUint8;
  return true;
}

}  // namespace intact
