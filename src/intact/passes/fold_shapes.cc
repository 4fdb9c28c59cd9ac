// fold_shapes: replaces computed shapes by constants, also where some dimensions stay unknown.
//
// Exporters compute every target shape at run time (Shape, Gather, Unsqueeze, Concat, Reshape), as
// if nothing were known. Much is: an integer value whose elements the shape analysis knows becomes
// a constant, and a Reshape whose target is made of input dimensions, numbers and at most one
// unknown becomes [0, 0, 12, -1], for any batch and any length. What computed it is then dead.
//
// A tensor without elements would let -1 mean anything: ONNX forbids it, and so do we at run time.
#include "passes/edit.h"
#include "passes/registry.h"
#include "passes/shape_analysis.h"

namespace intact {
namespace {

// The value as a constant, when all of its elements are numbers.
Tensor constant_content(const Known& k) {
  if (!k.content || (k.dtype != Dtype::kInt64 && k.dtype != Dtype::kInt32)) return {};
  const auto shape = concrete(k.shape);
  if (!shape || shape->size() > 1 ||
      num_elements(*shape) != static_cast<std::int64_t>(k.content->size()))
    return {};
  std::vector<std::int64_t> elements;
  for (const Dim& d : *k.content) {
    if (!d.symbol.empty()) return {};
    elements.push_back(d.size);
  }
  if (k.dtype == Dtype::kInt64)
    return Tensor::of<std::int64_t>(*shape, std::span<const std::int64_t>(elements));
  std::vector<std::int32_t> narrow;
  for (const std::int64_t e : elements) {
    narrow.push_back(static_cast<std::int32_t>(e));
    if (narrow.back() != e) return {};  // The sum of a run would wrap.
  }
  return Tensor::of<std::int32_t>(*shape, std::span<const std::int32_t>(narrow));
}

// The target of a Reshape in ONNX's notation (0 copies, -1 is what remains), or nothing.
std::optional<std::vector<std::int64_t>> constant_target(const Known& x, const Known& target) {
  if (!target.content) return std::nullopt;
  std::vector<std::int64_t> out;
  int open = 0;
  for (std::size_t i = 0; i < target.content->size(); ++i) {
    const Dim& d = (*target.content)[i];
    if (d.symbol.empty()) {
      out.push_back(d.size);
      if (d.size == -1) ++open;
    } else if (x.shape && i < x.shape->size() && same((*x.shape)[i], d)) {
      out.push_back(0);
    } else {
      out.push_back(-1);
      ++open;
    }
  }
  if (open > 1) return std::nullopt;
  return out;
}

}  // namespace

Status fold_shapes(Graph& graph, PassContext&) {
  const ShapeAnalysis known(graph);
  Editor editor(graph);
  const std::int32_t count = editor.num_nodes();
  for (std::int32_t n = 0; n < count; ++n) {
    if (editor.node(n).op.empty()) continue;
    const std::vector<ValueId> outputs = editor.node(n).outputs;
    for (const ValueId v : outputs)
      if (v != kNoValue)
        if (Tensor t = constant_content(known[v]); t.defined())
          editor.set_constant(v, std::move(t));

    const Node& node = editor.node(n);
    if (!node.is("Reshape") || node.in(1) == kNoValue || graph.constant(node.in(1)) != nullptr ||
        node.get_int("allowzero", 0) != 0)
      continue;
    if (const auto target = constant_target(known[node.in(0)], known[node.in(1)])) {
      const std::string name = graph.value(node.in(1)).name;
      const auto size = static_cast<std::int64_t>(target->size());
      editor.set_input(
          n, 1,
          editor.add_constant(
              name, Tensor::of<std::int64_t>({size}, std::span<const std::int64_t>(*target))));
    }
  }
  return editor.finish();
}

}  // namespace intact
