// recode_int8: lets activations that a file keeps as int8 be uint8, with the zero point moved by
// 128.
//
// The integer kernels read activations as unsigned bytes. q' = q + 128 and z' = z + 128 name the
// same reals, so nothing is rounded. Where codes come from outside (a graph input, an operator that
// makes int8) a node intact.Recode flips the top bit of each byte. The maximum of int8 codes is
// that of their unsigned ones:
//
//   MaxPool(q)  ->  Recode(MaxPool(Recode(q)))

#include "passes/codes.h"
#include "passes/patterns.h"
#include "passes/registry.h"
#include "passes/shape_analysis.h"

namespace intact {
namespace {

ValueId shifted_zero(Editor& editor, const Quant& map) {
  return editor.add_constant(
      "", Tensor::of<std::uint8_t>({}, {static_cast<std::uint8_t>(map.zero_point[0] + 128)}));
}

// A value for the unsigned codes of `like`, laid out as that is.
ValueId unsigned_value(Editor& editor, ValueId like) {
  ValueType type = editor.graph().value(like).type;
  type.dtype = Dtype::kUint8;
  return editor.add_value("", std::move(type));
}

bool is_signed(const Graph& graph, const Node& node, Quant* map) {
  Dtype dtype = Dtype::kUndefined;
  auto found = map_of(graph, node, &dtype);
  if (!found || dtype != Dtype::kInt8 || found->scale.size() != 1) return false;
  *map = *found;
  return true;
}

// Int8 codes as unsigned ones.
ValueId recoded(Editor& editor, ValueId codes) {
  const std::int32_t recode = editor.producer(codes, "Recode", "intact");
  if (recode >= 0) return editor.node(recode).in(0);
  const ValueId made = unsigned_value(editor, codes);
  Node forth = intact_node(editor.graph(), "Recode", {codes});
  forth.outputs = {made};
  editor.add(std::move(forth));
  return made;
}

// Rewrites node n, which made int8, as `node`, which makes unsigned codes, and a Recode.
void make_unsigned(Editor& editor, std::int32_t n, Node node) {
  const ValueId codes = unsigned_value(editor, node.out(0));
  Node back = intact_node(editor.graph(), "Recode", {codes});
  back.outputs = node.outputs;
  node.outputs = {codes};
  editor.add(std::move(node));
  editor.rewrite(n, std::move(back));
}

}  // namespace

Status recode_int8(Graph& graph, PassContext&) {
  const ShapeAnalysis known(graph);
  Editor editor(graph);
  const std::int32_t count = editor.num_nodes();
  for (std::int32_t n = 0; n < count; ++n) {
    const Node node = editor.node(n);
    Quant map;
    if (node.is("QuantizeLinear") && is_signed(editor.graph(), node, &map)) {
      Node q = node;
      q.attributes.erase("output_dtype");
      q.inputs = {node.in(0), node.in(1), shifted_zero(editor, map)};
      make_unsigned(editor, n, std::move(q));
    } else if (node.is("MaxPool") && node.outputs.size() == 1 &&
               known[node.in(0)].dtype == Dtype::kInt8) {
      Node pool = node;
      pool.inputs = {recoded(editor, node.in(0))};
      make_unsigned(editor, n, std::move(pool));
    }
  }
  const std::int32_t all = editor.num_nodes();
  for (std::int32_t n = 0; n < all; ++n) {
    const Node node = editor.node(n);
    Quant map;
    if (!node.is("DequantizeLinear") || editor.graph().constant(node.in(0)) != nullptr ||
        !is_signed(editor.graph(), node, &map))
      continue;
    Node unsigned_dq = node;
    unsigned_dq.inputs = {recoded(editor, node.in(0)), node.in(1), shifted_zero(editor, map)};
    editor.rewrite(n, std::move(unsigned_dq));
  }
  return editor.finish();
}

}  // namespace intact
