// fuse_image: a convolution of few channels reads its image as the model is given it.
//
//   QConv(ToChannelsLast(QuantizeLinear(x)), w, ...) -> QConv(x, w, ...) {x_scale, x_zero_point}
//   QConv(ToChannelsLast(Chain(x, k) {Mul}), w, ...) -> the same, and {x_factor}
//   QConv(ToChannelsLast(q), w, ...)                 -> QConv(q, w, ...)
//
// where the chain is one product with a constant k for all elements or one a channel, and a Q.
// With at most four channels the kernel copies rows before it multiplies
// (runtime/ops/image_rows.h); quantizing and turning them are part of that copy, and cost no passes
// over memory of their own.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "passes/codes.h"
#include "passes/registry.h"

namespace intact {
namespace {

bool reads_rows(const Graph& graph, const Node& conv) {
  return conv.is("QConv", "intact") && copies_rows(conv, graph.constant(conv.in(1)));
}

// The reals that codes are made of, each multiplied by its channel's factor first, if any.
struct Reals {
  ValueId x = kNoValue;
  std::vector<float> factor;
};

// A constant [C, 1, 1] or of one element, with leading axes of 1, as a value a channel.
std::vector<float> factor_by_channel(const Tensor& k, std::int64_t channels) {
  const Shape& shape = k.shape();
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (shape[i] != 1 && (shape.size() - i != 3 || shape[i] != channels)) return {};
  if (k.dtype() != Dtype::kFloat32 || shape.size() > 4) return {};
  const auto values = k.values<float>();
  std::vector<float> factor(values.begin(), values.end());
  if (factor.size() == 1) factor.resize(static_cast<std::size_t>(channels), factor[0]);
  return factor;
}

// Reals [N, channels, H, W] in plain order.
bool is_image(const Value& x, std::int64_t channels) {
  return !x.quant && x.type.layout == Layout::kPlain && x.type.shape && x.type.shape->size() == 4 &&
         (*x.type.shape)[1] == Dim{channels};
}

std::optional<Reals> reals_of(const Editor& editor, ValueId codes, const Quant& map,
                              std::int64_t channels) {
  const Graph& graph = editor.graph();
  if (!editor.single_use(codes)) return std::nullopt;
  if (const std::int32_t q = editor.producer(codes, "QuantizeLinear"); q >= 0) {
    if (quantize_map(graph, editor.node(q)) != map) return std::nullopt;
    return Reals{editor.node(q).in(0), {}};
  }
  const std::int32_t n = editor.producer(codes, "Chain", "intact");
  if (n < 0 || map.scale.size() != 1 || graph.value(codes).quant != map) return std::nullopt;
  const Node& chain = editor.node(n);
  const auto names = chain.attributes.find("chain");
  const auto* ops = names == chain.attributes.end()
                        ? nullptr
                        : std::get_if<std::vector<std::string>>(&names->second);
  const Tensor* k = graph.constant(chain.in(1));
  if (ops == nullptr || *ops != std::vector<std::string>{"Mul"} || k == nullptr ||
      !is_image(graph.value(chain.in(0)), channels))
    return std::nullopt;
  auto factor = factor_by_channel(*k, channels);
  if (factor.empty()) return std::nullopt;
  return Reals{chain.in(0), std::move(factor)};
}

}  // namespace

Status fuse_image(Graph& graph, PassContext&) {
  Editor editor(graph);
  const std::int32_t count = editor.num_nodes();
  for (std::int32_t n = 0; n < count; ++n) {
    if (!reads_rows(editor.graph(), editor.node(n))) continue;
    Node conv = editor.node(n);
    const std::int32_t turn = editor.producer(conv.in(0), "ToChannelsLast", "intact");
    if (turn < 0 || !editor.single_use(conv.in(0))) continue;
    const auto map = editor.graph().value(conv.in(0)).quant;
    if (!map) continue;
    conv.inputs[0] = editor.node(turn).in(0);
    const std::int64_t channels = editor.graph().constant(conv.in(1))->shape()[1];
    if (auto reals = reals_of(editor, conv.inputs[0], *map, channels)) {
      conv.inputs[0] = reals->x;
      conv.attributes["x_scale"] = map->scale[0];
      conv.attributes["x_zero_point"] = std::int64_t{map->zero_point[0]};
      if (!reals->factor.empty()) conv.attributes["x_factor"] = std::move(reals->factor);
    } else if (!annotate(editor.graph(), conv.inputs[0], *map)) {
      continue;
    }
    editor.rewrite(n, std::move(conv));
  }
  return editor.finish();
}

}  // namespace intact
