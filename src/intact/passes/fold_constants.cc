// fold_constants: computes, once and before any run, what depends on constants only.
//
// Constant nodes become constants; then every node whose inputs are all constant is run through the
// context's evaluator, in execution order, so that whole subgraphs collapse (exporters write the
// pads of TensorFlow models as ConstantOfShape, Concat, Slice, Transpose, Cast).
//
// Left alone: DequantizeLinear (a folded one would lose the codes, which are the point of a
// quantized file), random operators, nodes with subgraphs, results that would take much more memory
// than their inputs, and whatever the evaluator refuses: the run will say why.
#include <algorithm>
#include <limits>

#include "passes/edit.h"
#include "passes/node_traits.h"
#include "passes/registry.h"
#include "passes/shape_analysis.h"

namespace intact {
namespace {

// The tensor that a Constant node holds; undefined for strings and sparse tensors.
Tensor tensor_of_constant_node(const Node& node) {
  if (const Tensor* t = node.get_tensor("value")) return *t;
  if (node.has("value_float")) return Tensor::scalar(node.get_float("value_float", 0));
  if (node.has("value_int")) return Tensor::scalar(node.get_int("value_int", 0));
  if (node.has("value_floats")) {
    const auto v = node.get_floats("value_floats");
    return Tensor::of<float>({static_cast<std::int64_t>(v.size())}, std::span<const float>(v));
  }
  if (node.has("value_ints")) {
    const auto v = node.get_ints("value_ints");
    return Tensor::of<std::int64_t>({static_cast<std::int64_t>(v.size())},
                                    std::span<const std::int64_t>(v));
  }
  return {};
}

bool all_inputs_constant(const Graph& graph, const Node& node) {
  return !node.inputs.empty() &&
         std::all_of(node.inputs.begin(), node.inputs.end(),
                     [&](ValueId v) { return v == kNoValue || graph.constant(v) != nullptr; });
}

std::size_t input_bytes(const Graph& graph, const Node& node) {
  std::size_t bytes = 0;
  for (const ValueId v : node.inputs)
    if (const Tensor* t = graph.constant(v)) bytes += t->bytes();
  return bytes;
}

// The bytes of all outputs, or nothing when a shape cannot be told.
std::optional<std::size_t> output_bytes(const ShapeAnalysis& known, const Node& node) {
  std::size_t bytes = 0;
  for (const ValueId v : node.outputs) {
    if (v == kNoValue) continue;
    const auto shape = concrete(known.shape(v));
    if (!shape) return std::nullopt;
    if (!check_shape(*shape)) return std::numeric_limits<std::size_t>::max();
    const Dtype dtype = known[v].dtype;
    bytes += bytes_of(dtype == Dtype::kUndefined ? Dtype::kInt64 : dtype, num_elements(*shape));
  }
  return bytes;
}

bool worth_folding(const ShapeAnalysis& known, const Node& node, const PassContext& context) {
  const auto bytes = output_bytes(known, node);
  if (!bytes) return !is_expanding(node);
  const std::size_t inputs = input_bytes(known.graph(), node);
  if (*bytes <= 2 * inputs) return true;
  return *bytes <= (is_expanding(node) ? context.max_expanded_bytes : context.max_folded_bytes);
}

}  // namespace

Status fold_constants(Graph& graph, PassContext& context) {
  Editor editor(graph);
  for (std::int32_t n = 0; n < editor.num_nodes(); ++n) {
    if (!editor.node(n).is("Constant")) continue;
    if (Tensor t = tensor_of_constant_node(editor.node(n)); t.defined())
      editor.set_constant(editor.node(n).outputs[0], std::move(t));
  }
  if (!context.evaluate) return editor.finish();

  std::optional<ShapeAnalysis> known;  // Made when the first node asks.
  for (std::int32_t n = 0; n < editor.num_nodes(); ++n) {
    const Node& node = editor.node(n);
    if (node.op.empty() || node.is("DequantizeLinear") || is_random(node) || has_subgraph(node) ||
        !all_inputs_constant(graph, node))
      continue;
    if (!known) known.emplace(graph);
    known->visit(node);
    if (!worth_folding(*known, node, context)) continue;
    std::vector<Tensor> inputs;
    for (const ValueId v : node.inputs) {
      const Tensor* t = graph.constant(v);
      inputs.push_back(t != nullptr ? *t : Tensor());
    }
    const auto results = context.evaluate(node, inputs, graph);
    if (!results) continue;
    const std::vector<ValueId> outputs = node.outputs;  // The node may go with its last output.
    INTACT_CHECK(results->size() >= outputs.size(), "{} gave {} of {} outputs", node.op,
                 results->size(), outputs.size());
    for (std::size_t i = 0; i < outputs.size(); ++i)
      if (outputs[i] != kNoValue && (*results)[i].defined())
        editor.set_constant(outputs[i], (*results)[i]);
  }
  return editor.finish();
}

}  // namespace intact
