#include "calib/byte_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/round.h"
#include "passes/node_traits.h"

namespace intact {
namespace {

using Ints = std::vector<std::int64_t>;

std::size_t at(ValueId v) { return static_cast<std::size_t>(v); }

// v = a x + d, one pair a channel.
struct Chain {
  std::vector<double> a, d;
};

// The nodes from the input to the value that the convolutions read, and the other nodes' constants.
struct Path {
  std::vector<std::int32_t> nodes;
  ValueId end = kNoValue;
};

// The only reader of a value, or null.
const Node* only_reader(const Graph& graph, const Uses& uses, ValueId v, std::int32_t* index) {
  if (!uses.single_use(v)) return nullptr;
  *index = uses.readers[at(v)][0];
  return &graph.nodes[static_cast<std::size_t>(*index)];
}

bool is_affine(const Graph& graph, const Node& node, ValueId x) {
  const bool first = node.in(0) == x;
  const Tensor* c = graph.constant(node.in(first ? 1 : 0));
  if (node.is("Div") && !first) return false;
  return (node.is("Mul") || node.is("Add") || node.is("Sub") || node.is("Div")) && c != nullptr &&
         is_float(c->dtype());
}

Path path_from(const Graph& graph, const Uses& uses, ValueId v) {
  Path path;
  std::int32_t n = -1;
  while (const Node* node = only_reader(graph, uses, v, &n)) {
    const bool same = node->is("Cast") || node->is("Identity") || node->is("Transpose");
    if (!same && !is_affine(graph, *node, v)) break;
    path.nodes.push_back(n);
    v = node->out(0);
  }
  path.end = v;
  return path;
}

// The elements of a constant that varies along one axis of a tensor of four, or not at all.
std::optional<std::vector<double>> by_channel(const Tensor& t, std::size_t axis, std::size_t n) {
  std::vector<double> values = to_float64(t);
  if (t.rank() > 4) return std::nullopt;
  if (values.size() == 1) return std::vector<double>(n, values[0]);
  const std::size_t skipped = 4 - t.rank();  // Axes that it broadcasts along in front.
  if (values.size() != n || axis < skipped ||
      t.shape()[axis - skipped] != static_cast<std::int64_t>(n))
    return std::nullopt;
  return values;
}

// The order of the input's axes that the end of the path sees, or nothing.
std::optional<Ints> order_of(const Graph& graph, const Path& path) {
  Ints order{0, 1, 2, 3};
  for (const std::int32_t n : path.nodes) {
    const Node& node = graph.nodes[static_cast<std::size_t>(n)];
    if (!node.is("Transpose")) continue;
    const auto perm = perm_of(node, 4);
    if (!perm) return std::nullopt;
    Ints next;
    for (const std::int64_t axis : *perm) next.push_back(order[static_cast<std::size_t>(axis)]);
    order = std::move(next);
  }
  return order;
}

// The path as a map of `channels` channels, which are axis 1 at its end.
std::optional<Chain> chain_of(const Graph& graph, const Path& path, std::size_t channels) {
  std::vector<std::size_t> axes(path.nodes.size());
  std::size_t axis = 1;
  for (std::size_t i = path.nodes.size(); i-- > 0;) {
    axes[i] = axis;
    const Node& node = graph.nodes[static_cast<std::size_t>(path.nodes[i])];
    if (node.is("Transpose")) axis = static_cast<std::size_t>((*perm_of(node, 4))[axis]);
  }
  Chain chain{std::vector<double>(channels, 1.0), std::vector<double>(channels, 0.0)};
  for (std::size_t i = 0; i < path.nodes.size(); ++i) {
    const Node& node = graph.nodes[static_cast<std::size_t>(path.nodes[i])];
    const bool first = graph.constant(node.in(0)) == nullptr;
    const Tensor* t = graph.constant(node.in(first ? 1 : 0));
    if (t == nullptr || node.is("Transpose")) continue;
    const auto values = by_channel(*t, axes[i], channels);
    if (!values) return std::nullopt;
    for (std::size_t c = 0; c < channels; ++c) {
      const double v = (*values)[c];
      if (node.is("Mul") || node.is("Div")) {
        chain.a[c] = node.is("Mul") ? chain.a[c] * v : chain.a[c] / v;
        chain.d[c] = node.is("Mul") ? chain.d[c] * v : chain.d[c] / v;
      } else if (node.is("Add")) {
        chain.d[c] += v;
      } else {
        chain.d[c] = first ? chain.d[c] - v : v - chain.d[c];
        if (!first) chain.a[c] = -chain.a[c];
      }
      if (!std::isfinite(chain.a[c]) || !std::isfinite(chain.d[c]) || chain.a[c] == 0)
        return std::nullopt;
    }
  }
  return chain;
}

bool pads(const Node& conv) {
  const std::string automatic = conv.get_string("auto_pad", "NOTSET");
  if (automatic != "NOTSET") return automatic != "VALID";
  const auto given = conv.get_ints("pads");
  return std::any_of(given.begin(), given.end(), [](std::int64_t p) { return p != 0; });
}

// (24): the convolution's weights and bias for codes in place of reals.
void fold_into(Graph& graph, const Uses& uses, std::int32_t n, const Chain& chain, float s,
               const std::vector<double>& gap) {
  const Node& conv = graph.nodes[static_cast<std::size_t>(n)];
  const ValueId w = conv.in(1), b = conv.in(2);
  const Tensor weights = *graph.constant(w);
  const Shape& shape = weights.shape();
  const std::int64_t out = shape[0], in = shape[1], taps = shape[2] * shape[3];
  const std::int64_t each = out / conv.get_int("group", 1);  // Output channels of a group.
  std::vector<double> values = to_float64(weights);
  std::vector<double> bias(static_cast<std::size_t>(out), 0.0);
  if (b != kNoValue) bias = to_float64(*graph.constant(b));
  for (std::int64_t o = 0; o < out; ++o)
    for (std::int64_t i = 0; i < in; ++i) {
      const auto c = static_cast<std::size_t>(o / each * in + i);
      for (std::int64_t t = 0; t < taps; ++t) {
        double& v = values[static_cast<std::size_t>((o * in + i) * taps + t)];
        bias[static_cast<std::size_t>(o)] += v * chain.a[c] * gap[c];
        v *= chain.a[c] / static_cast<double>(s);
      }
    }
  const auto put = [&](ValueId old, const std::string& name, Tensor tensor) {
    if (old == kNoValue || uses.readers[at(old)].size() != 1)
      return graph.add_constant(name, std::move(tensor));
    graph.value(old).constant = std::move(tensor);
    return old;
  };
  const std::string name = graph.value(w).name;
  const ValueId new_w = put(w, name, from_float64(Dtype::kFloat32, shape, values));
  const ValueId new_b = put(b, b == kNoValue ? name + ".bias" : graph.value(b).name,
                            from_float64(Dtype::kFloat32, {out}, bias));
  Node& folded = graph.nodes[static_cast<std::size_t>(n)];
  folded.inputs.resize(3, kNoValue);
  folded.inputs[1] = new_w;
  folded.inputs[2] = new_b;
}

// The convolutions that read v, or why they are not all that reads it.
std::string find_layers(const Graph& graph, const Uses& uses, ValueId v,
                        std::vector<std::int32_t>& layers) {
  if (uses.is_output[at(v)]) return "it is an output of the model";
  for (const std::int32_t r : uses.readers[at(v)]) {
    const Node& node = graph.nodes[static_cast<std::size_t>(r)];
    const Tensor* w = graph.constant(node.in(1));
    const Tensor* b = graph.constant(node.in(2));
    if (!node.is("Conv") || node.in(0) != v || w == nullptr || w->rank() != 4 ||
        w->dtype() != Dtype::kFloat32 || (node.in(2) != kNoValue && b == nullptr))
      return fmt::format("node '{}' ({}) reads it", node.name, node.op);
    layers.push_back(r);
  }
  return layers.empty() ? "nothing reads it" : "";
}

}  // namespace

Status take_bytes(Graph& graph, std::size_t input, const ByteMap& map) {
  const ValueId real = graph.inputs[input];
  const ValueType type = graph.value(real).type;
  if (type.dtype != Dtype::kFloat32)
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("it is {}; only a float32 input can become uint8", name_of(type.dtype)));
  Ints dims;
  if (type.shape)
    for (const Dim& d : *type.shape) dims.push_back(d.known() ? d.size : -1);
  if (map.nhwc && dims.size() != 4)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("nhwc is for an image [N, C, H, W], and it has {} axes", dims.size()));
  if (map.nhwc && (dims[1] > 4 || (dims[1] < 0 && dims[3] > 0 && dims[3] <= 4)))
    return fail(ErrorCode::kInvalidArgument, "it is in image layout already: drop nhwc");
  std::size_t axis = 1;
  if (!map.is_uniform()) {
    INTACT_ASSIGN(axis, channel_axis(dims));
    if (map.nhwc && axis != 1)
      return fail(ErrorCode::kInvalidArgument, "it is in image layout already: drop nhwc");
  }

  const std::string name = graph.value(real).name;
  std::string inner = name + "_real";
  while (graph.find_value(inner)) inner += "_";
  graph.rename(real, inner);
  ValueType bytes = type;
  bytes.dtype = Dtype::kUint8;
  if (map.nhwc)
    bytes.shape = {(*type.shape)[0], (*type.shape)[2], (*type.shape)[3], (*type.shape)[1]};
  const ValueId codes = graph.add_value(name, bytes);
  graph.inputs[input] = codes;

  std::vector<Node> nodes;
  ValueId last = codes;
  const auto then = [&](std::string op, const std::string& suffix) -> Node& {
    Node node;
    node.name = name + suffix;
    node.op = std::move(op);
    node.inputs = {last};
    last = graph.add_value(name + suffix);
    node.outputs = {last};
    nodes.push_back(std::move(node));
    return nodes.back();
  };
  const auto constant = [&](const std::string& suffix, auto value_of) {
    const std::size_t count = map.is_uniform() ? 1 : 3;
    std::vector<double> values;
    for (std::size_t c = 0; c < count; ++c) values.push_back(value_of(c));
    const Shape shape = count == 1 ? Shape{} : axis == 1 ? Shape{3, 1, 1} : Shape{3};
    return graph.add_constant(name + suffix, from_float64(Dtype::kFloat32, shape, values));
  };
  if (map.nhwc) then("Transpose", "_nchw").attributes["perm"] = Ints{0, 3, 1, 2};
  then("Cast", "_cast").attributes["to"] = std::int64_t{1};
  if (map != ByteMap{map.nhwc}) {
    const ValueId slope = constant("_slope", [&](std::size_t c) { return map.slope(c); });
    then("Mul", "_mul").inputs.push_back(slope);
    const ValueId shift = constant("_shift", [&](std::size_t c) { return map.shift(c); });
    then("Add", "_add").inputs.push_back(shift);
  }
  nodes.back().outputs = {real};
  graph.nodes.insert(graph.nodes.begin(), std::make_move_iterator(nodes.begin()),
                     std::make_move_iterator(nodes.end()));
  INTACT_TRY(graph.sort());
  graph.compact();
  return {};
}

Result<std::string> fold_bytes(Graph& graph, std::size_t input) {
  INTACT_CHECK(graph.opset() >= 13, "a zero point a channel needs opset 13");
  const ValueId codes = graph.inputs[input];
  const Uses uses = graph.uses();
  const Path path = path_from(graph, uses, codes);
  std::vector<std::int32_t> layers;
  if (std::string why = find_layers(graph, uses, path.end, layers); !why.empty()) return why;
  const Node& first = graph.nodes[static_cast<std::size_t>(layers[0])];
  const auto channels =
      static_cast<std::size_t>(graph.constant(first.in(1))->shape()[1] * first.get_int("group", 1));
  const auto order = order_of(graph, path);
  const auto chain = order ? chain_of(graph, path, channels) : std::nullopt;
  if (!chain) return std::string("its normalization is not one of channels");

  // The scale of the codes keeps the weights near what they were; the sign goes into them.
  double largest = 0;
  std::vector<double> zero;
  for (std::size_t c = 0; c < channels; ++c) {
    largest = std::max(largest, std::abs(chain->a[c]));
    zero.push_back(-chain->d[c] / chain->a[c]);
  }
  const auto s = static_cast<float>(largest);
  const bool padded = std::any_of(layers.begin(), layers.end(), [&](std::int32_t n) {
    return pads(graph.nodes[static_cast<std::size_t>(n)]);
  });
  std::vector<double> points = zero;
  if (!padded) {
    double sum = 0;
    for (const double z : zero) sum += z;
    points.assign(channels, sum / static_cast<double>(channels));
  }
  for (std::size_t c = 0; c < channels; ++c) {
    if (padded && !(points[c] >= -0.5 && points[c] <= 255.5))
      return fmt::format("its real 0, which pads it, is byte {:.1f} of channel {}", points[c], c);
    points[c] = std::clamp(round_half_even(points[c]), 0.0, 255.0);
  }
  std::vector<double> gap;  // From the zero point to real 0, in bytes.
  for (std::size_t c = 0; c < channels; ++c) gap.push_back(points[c] - zero[c]);
  for (const std::int32_t n : layers) fold_into(graph, uses, n, *chain, s, gap);

  const bool one =
      std::count(points.begin(), points.end(), points[0]) == static_cast<std::ptrdiff_t>(channels);
  const Shape shape = one ? Shape{} : Shape{static_cast<std::int64_t>(channels)};
  if (one) points.resize(1);
  const std::string name = graph.value(codes).name;
  for (const std::int32_t n : path.nodes) graph.nodes[static_cast<std::size_t>(n)].op.clear();
  std::vector<Node> nodes;
  ValueId last = codes;
  if (*order != Ints{0, 1, 2, 3}) {
    Node turn;
    turn.name = name + "_Transpose";
    turn.op = "Transpose";
    turn.attributes["perm"] = *order;
    turn.inputs = {codes};
    last = graph.add_value(name + "_nchw");
    turn.outputs = {last};
    nodes.push_back(std::move(turn));
  }
  Node dequantize;
  dequantize.name = name + "_DequantizeLinear";
  dequantize.op = "DequantizeLinear";
  dequantize.inputs = {
      last,
      graph.add_constant(name + "_scale", from_float64(Dtype::kFloat32, shape,
                                                       std::vector<double>(points.size(), s))),
      graph.add_constant(name + "_zero", from_float64(Dtype::kUint8, shape, points))};
  if (!one) dequantize.attributes["axis"] = std::int64_t{1};
  dequantize.outputs = {path.end};
  nodes.push_back(std::move(dequantize));
  graph.nodes.insert(graph.nodes.begin(), std::make_move_iterator(nodes.begin()),
                     std::make_move_iterator(nodes.end()));
  INTACT_TRY(graph.sort());
  graph.compact();
  return std::string();
}

}  // namespace intact
