// remove_no_ops: removes the nodes that provably give back what they are given.
//
// Identity and Dropout of trained models, Cast to the type that is there, Reshape and Expand to the
// shape that is there, Transpose that permutes nothing, Pad by nothing, Slice of everything,
// x + 0, x * 1, Concat of one. "Provably" means: by the shape analysis, for every run. A no-op from
// a graph input straight to a graph output stays, since both names must.
#include <algorithm>

#include "passes/edit.h"
#include "passes/node_traits.h"
#include "passes/registry.h"
#include "passes/shape_analysis.h"

namespace intact {
namespace {

bool all_equal(const Tensor& t, double x) {
  const auto v = to_float64(t);
  return std::all_of(v.begin(), v.end(), [&](double e) { return e == x; });
}

bool all_ones(const Graph& graph, ValueId id) {
  const Tensor* t = graph.constant(id);
  return t != nullptr && all_equal(*t, 1.0);
}

// The input that the node passes on as it is, by the type and shape of what comes out, or kNoValue.
ValueId passed_on(const ShapeAnalysis& known, const Node& node) {
  const Graph& graph = known.graph();
  const ValueId x = node.in(0);
  if (x == kNoValue) return kNoValue;
  const auto same_shape = [&](ValueId v) { return same(known.shape(v), known.shape(node.out(0))); };

  if (node.is("Identity")) return x;
  if (node.is("Dropout")) {
    const auto training = scalar_of(graph, node.in(2));
    return node.in(2) == kNoValue || (training && *training == 0) ? x : kNoValue;
  }
  if (node.is("Cast")) {
    const auto to = static_cast<Dtype>(node.get_int("to", 0));
    return to != Dtype::kUndefined && known[x].dtype == to ? x : kNoValue;
  }
  if (node.is("Reshape") || node.is("Flatten") || node.is("Squeeze") || node.is("Unsqueeze") ||
      node.is("Expand") || node.is("Tile"))
    return same_shape(x) ? x : kNoValue;
  if (node.is("Transpose")) {
    const auto perm = perm_of(node, node.get_ints("perm").size());
    return perm && !perm->empty() && std::is_sorted(perm->begin(), perm->end()) ? x : kNoValue;
  }
  if (node.is("Slice")) {
    const bool forward = node.in(4) == kNoValue || all_ones(graph, node.in(4));
    return forward && same_shape(x) ? x : kNoValue;
  }
  if (node.is("Pad")) {
    const auto pads = ints_attribute_or_input(graph, node, "pads", 1);
    return pads && pads->given &&
                   std::all_of(pads->values.begin(), pads->values.end(),
                               [](std::int64_t p) { return p == 0; })
               ? x
               : kNoValue;
  }
  if (node.is("Resize")) {
    if (node.get_string("coordinate_transformation_mode", "") == "tf_crop_and_resize")
      return kNoValue;
    if (node.in(3) != kNoValue) return same_shape(x) ? x : kNoValue;
    return all_ones(graph, node.in(2)) ? x : kNoValue;
  }
  if (node.is("Concat") || node.is("Sum") || node.is("Max") || node.is("Min") || node.is("Mean"))
    return node.inputs.size() == 1 ? x : kNoValue;
  if (node.is("Split")) return node.outputs.size() == 1 && same_shape(x) ? x : kNoValue;

  // Neutral elements, where broadcasting does not change the shape.
  const auto neutral = [&](std::size_t i, double e) {
    const Tensor* t = graph.constant(node.in(i));
    return t != nullptr && t->size() > 0 && all_equal(*t, e) && same_shape(node.in(1 - i));
  };
  const bool sum = node.is("Add") || node.is("Sub");
  const bool product = node.is("Mul") || node.is("Div");
  if ((sum && neutral(1, 0.0)) || (product && neutral(1, 1.0))) return node.in(0);
  if ((node.is("Add") && neutral(0, 0.0)) || (node.is("Mul") && neutral(0, 1.0))) return node.in(1);
  return kNoValue;
}

bool only_first_output(const Editor& editor, const Node& node) {
  for (std::size_t i = 1; i < node.outputs.size(); ++i)
    if (const ValueId v = node.outputs[i];
        v != kNoValue && (editor.kept(v) || !editor.readers(v).empty()))
      return false;
  return node.out(0) != kNoValue;
}

}  // namespace

Status remove_no_ops(Graph& graph, PassContext&) {
  const ShapeAnalysis known(graph);
  Editor editor(graph);
  for (std::int32_t n = 0; n < editor.num_nodes(); ++n) {
    const Node& node = editor.node(n);
    if (node.op.empty() || !node.domain.empty() || !only_first_output(editor, node)) continue;
    const ValueId out = node.out(0);
    if (const ValueId x = passed_on(known, node); x != kNoValue) editor.replace_uses(out, x);
  }
  return editor.finish();
}

}  // namespace intact
