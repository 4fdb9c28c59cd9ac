// fold_batch_norm: moves per-channel scales and shifts into the weights before them.
//
// After training, BatchNormalization is y = m[c] x + a[c] with
//
//   m[c] = scale[c] / sqrt(var[c] + epsilon)      a[c] = bias[c] - mean[c] m[c]                 (1)
//
// and so are Mul, Div, Add and Sub with a constant that varies along the channels only
// (PaddlePaddle writes its normalizations that way). Behind a Conv, ConvTranspose, Gemm or MatMul
// whose result nobody else reads, it becomes part of the layer:
//
//   w'[c] = m[c] w[c]                             b'[c] = m[c] b[c] + a[c]                      (2)
//
// in double, rounded once. Weights shared by several layers are copied, not changed. A
// BatchNormalization that stands alone becomes Mul and Add, which later steps know how to fuse.
#include <cmath>

#include "passes/affine_map.h"
#include "passes/edit.h"
#include "passes/registry.h"
#include "passes/shape_analysis.h"

namespace intact {
namespace {

// Puts the layer with folded weights where the affine node was.
bool fold_into_producer(Editor& editor, std::int32_t n, std::size_t data_input) {
  const ValueId y = editor.node(n).in(data_input);
  const std::int32_t p = editor.producer(y);
  if (p < 0 || !editor.single_use(y)) return false;
  const auto layer = layer_of(editor.graph(), editor.node(p));
  if (!layer) return false;
  const auto map = affine_map_of(editor.graph(), editor.node(n), data_input, *layer);
  if (!map) return false;
  auto folded = fold(editor, *layer, p, *map);
  if (!folded) return false;
  editor.rewrite(n, std::move(*folded));
  return true;
}

// [C, 1, 1, ...] for an input of that rank, so that it broadcasts along axis 1.
Shape channel_shape(std::size_t channels, std::size_t rank) {
  Shape shape(rank > 1 ? rank - 1 : 1, 1);
  shape[0] = static_cast<std::int64_t>(channels);
  return shape;
}

void split_batch_norm(Editor& editor, std::int32_t n, std::size_t rank) {
  const Node node = editor.node(n);
  const auto map = batch_norm_map(editor.graph(), node);
  if (!map || rank < 2) return;
  const Shape shape = channel_shape(map->scale.size(), rank);
  const Graph& graph = editor.graph();
  const Dtype dtype = graph.constant(node.in(1))->dtype();
  const std::string base = graph.value(node.out(0)).name;
  const ValueId m = editor.add_constant(base + ".scale", from_float64(dtype, shape, map->scale));
  const ValueId a = editor.add_constant(base + ".shift", from_float64(dtype, shape, map->shift));
  const ValueId scaled = editor.add_value(base + ".scaled", graph.value(node.out(0)).type);
  Node mul;
  mul.name = node.name.empty() ? "" : node.name + ".scale";
  mul.op = "Mul";
  mul.inputs = {node.in(0), m};
  mul.outputs = {scaled};
  editor.add(std::move(mul));
  Node add;
  add.name = node.name;
  add.op = "Add";
  add.inputs = {scaled, a};
  add.outputs = {node.out(0)};
  editor.rewrite(n, std::move(add));
}

}  // namespace

Status fold_batch_norm(Graph& graph, PassContext&) {
  std::optional<ShapeAnalysis> known;
  Editor editor(graph);
  const std::int32_t count = editor.num_nodes();
  for (std::int32_t n = 0; n < count; ++n) {
    const Node& node = editor.node(n);
    if (!node.domain.empty()) continue;
    if (node.is("BatchNormalization")) {
      if (fold_into_producer(editor, n, 0)) continue;
      if (!known) known.emplace(graph);
      const int rank = known->rank(editor.node(n).in(0));
      if (rank >= 2) split_batch_norm(editor, n, static_cast<std::size_t>(rank));
    } else if (node.is("Mul") || node.is("Add") || node.is("Sub") || node.is("Div")) {
      if (graph.constant(node.in(1)) != nullptr)
        fold_into_producer(editor, n, 0);
      else if (graph.constant(node.in(0)) != nullptr)
        fold_into_producer(editor, n, 1);
    }
  }
  return editor.finish();
}

}  // namespace intact
