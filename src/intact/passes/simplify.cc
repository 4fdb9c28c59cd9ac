// simplify: merges neighbours of one kind.
//
//   Relu or Clip behind Relu or Clip    one Clip, or Relu when only zero is left of the bounds
//   Transpose behind Transpose          one Transpose, or none
//   Reshape behind a pure reshape       the last one alone
//
// Exporters leave such pairs where modules meet, and other passes where they removed what stood
// between.
#include <algorithm>
#include <limits>

#include "passes/patterns.h"
#include "passes/registry.h"
#include "passes/shape_analysis.h"

namespace intact {
namespace {

using Ints = std::vector<std::int64_t>;

void merge_clamps(Editor& editor, const ShapeAnalysis& known, std::int32_t n) {
  Graph& graph = editor.graph();
  const auto outer = clamp_of(graph, editor.node(n));
  const ValueId y = editor.node(n).in(0);
  const std::int32_t p = editor.producer(y);
  if (!outer || p < 0 || !editor.single_use(y)) return;
  const auto inner = clamp_of(graph, editor.node(p));
  const ValueId x = editor.node(p).in(0);
  if (!inner || known[x].dtype != Dtype::kFloat32) return;
  const double lo = std::clamp(inner->lo, outer->lo, outer->hi);
  const double hi = std::clamp(inner->hi, outer->lo, outer->hi);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Node node;
  node.inputs = {x};
  if (lo == 0 && hi == kInfinity) {
    node.op = "Relu";
  } else {
    node.op = "Clip";
    const bool by_attribute = graph.opset() > 0 && graph.opset() < 11;
    const auto bound = [&](const char* key, double value, std::size_t input) {
      if (by_attribute) {
        node.attributes[key] = static_cast<float>(value);
        return;
      }
      node.inputs.resize(input + 1, kNoValue);
      node.inputs[input] = editor.add_constant(graph.value(editor.node(n).out(0)).name + "." + key,
                                               Tensor::scalar(static_cast<float>(value)));
    };
    if (lo != -kInfinity) bound("min", lo, 1);
    if (hi != kInfinity) bound("max", hi, 2);
  }
  editor.rewrite(n, std::move(node));
}

void merge_transposes(Editor& editor, const ShapeAnalysis& known, std::int32_t n) {
  const ValueId y = editor.node(n).in(0);
  const std::int32_t p = editor.producer(y, "Transpose");
  if (p < 0) return;
  const int rank = known.rank(editor.node(p).in(0));
  const std::size_t axes =
      rank >= 0 ? static_cast<std::size_t>(rank) : editor.node(p).get_ints("perm").size();
  if (axes == 0) return;
  const auto first = perm_of(editor.node(p), axes);
  const auto second = perm_of(editor.node(n), axes);
  if (!first || !second) return;
  Ints both;
  for (const std::int64_t axis : *second) both.push_back((*first)[static_cast<std::size_t>(axis)]);
  const ValueId x = editor.node(p).in(0);
  const ValueId out = editor.node(n).out(0);
  if (std::is_sorted(both.begin(), both.end()) && editor.replace_uses(out, x)) return;
  editor.set_attribute(n, "perm", std::move(both));
  editor.set_input(n, 0, x);
}

void merge_reshapes(Editor& editor, std::int32_t n) {
  const std::int32_t p = editor.producer(editor.node(n).in(0));
  if (p < 0) return;
  const Node& inner = editor.node(p);
  if (!inner.is("Reshape") && !inner.is("Flatten") && !inner.is("Squeeze") &&
      !inner.is("Unsqueeze"))
    return;
  const auto target = ints_of(editor.graph(), editor.node(n).in(1));
  // A zero copies a dimension of the shape in between.
  if (!target || std::find(target->begin(), target->end(), 0) != target->end()) return;
  editor.set_input(n, 0, inner.in(0));
}

}  // namespace

Status simplify(Graph& graph, PassContext&) {
  const ShapeAnalysis known(graph);
  Editor editor(graph);
  for (std::int32_t n = 0; n < editor.num_nodes(); ++n) {
    const Node& node = editor.node(n);
    if (node.is("Relu") || node.is("Clip"))
      merge_clamps(editor, known, n);
    else if (node.is("Transpose"))
      merge_transposes(editor, known, n);
    else if (node.is("Reshape"))
      merge_reshapes(editor, n);
  }
  return editor.finish();
}

}  // namespace intact
