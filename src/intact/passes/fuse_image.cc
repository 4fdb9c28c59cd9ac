// fuse_image: a convolution of few channels reads its image as the model is given it.
//
//   QConv(ToChannelsLast(QuantizeLinear(x)), w, ...) -> QConv(x, w, ...) {x_scale, x_zero_point}
//   QConv(ToChannelsLast(q), w, ...)                 -> QConv(q, w, ...)
//
// With at most four channels the kernel copies rows before it multiplies
// (runtime/ops/image_rows.h); quantizing and turning them are part of that copy, and cost no passes
// over memory of their own.

#include "passes/codes.h"
#include "passes/registry.h"

namespace intact {
namespace {

bool reads_rows(const Graph& graph, const Node& conv) {
  return conv.is("QConv", "intact") && copies_rows(conv, graph.constant(conv.in(1)));
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
    const std::int32_t q = editor.producer(conv.inputs[0], "QuantizeLinear");
    if (q >= 0 && editor.single_use(conv.inputs[0]) &&
        quantize_map(editor.graph(), editor.node(q)) == map) {
      conv.inputs[0] = editor.node(q).in(0);
      conv.attributes["x_scale"] = map->scale[0];
      conv.attributes["x_zero_point"] = std::int64_t{map->zero_point[0]};
    } else if (!annotate(editor.graph(), conv.inputs[0], *map)) {
      continue;
    }
    editor.rewrite(n, std::move(conv));
  }
  return editor.finish();
}

}  // namespace intact
