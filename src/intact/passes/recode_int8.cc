// recode_int8: lets activations that a file keeps as int8 be uint8, with the zero point moved by
// 128.
//
// The integer kernels read activations as unsigned bytes. q' = q + 128 and z' = z + 128 name the
// same reals, so nothing is rounded. Where codes come from outside (a graph input, an operator that
// makes int8) a node intact.Recode flips the top bit of each byte.

#include "passes/codes.h"
#include "passes/patterns.h"
#include "passes/registry.h"

namespace intact {
namespace {

ValueId shifted_zero(Editor& editor, const Quant& map) {
  return editor.add_constant(
      "", Tensor::of<std::uint8_t>({}, {static_cast<std::uint8_t>(map.zero_point[0] + 128)}));
}

bool is_signed(const Graph& graph, const Node& node, Quant* map) {
  Dtype dtype = Dtype::kUndefined;
  auto found = map_of(graph, node, &dtype);
  if (!found || dtype != Dtype::kInt8 || found->scale.size() != 1) return false;
  *map = *found;
  return true;
}

}  // namespace

Status recode_int8(Graph& graph, PassContext&) {
  Editor editor(graph);
  const std::int32_t count = editor.num_nodes();
  for (std::int32_t n = 0; n < count; ++n) {
    const Node node = editor.node(n);
    Quant map;
    if (node.is("QuantizeLinear") && is_signed(editor.graph(), node, &map)) {
      Node unsigned_q = node;
      unsigned_q.attributes.erase("output_dtype");
      unsigned_q.inputs = {node.in(0), node.in(1), shifted_zero(editor, map)};
      const ValueId codes =
          editor.add_value("", {Dtype::kUint8, editor.graph().value(node.out(0)).type.shape});
      unsigned_q.outputs = {codes};
      editor.add(std::move(unsigned_q));
      Node back = intact_node(editor.graph(), "Recode", {codes});
      back.outputs = node.outputs;
      editor.rewrite(n, std::move(back));
    }
  }
  const std::int32_t all = editor.num_nodes();
  for (std::int32_t n = 0; n < all; ++n) {
    const Node node = editor.node(n);
    Quant map;
    if (!node.is("DequantizeLinear") || editor.graph().constant(node.in(0)) != nullptr ||
        !is_signed(editor.graph(), node, &map))
      continue;
    const std::int32_t recode = editor.producer(node.in(0), "Recode", "intact");
    ValueId codes = kNoValue;
    if (recode >= 0) {
      codes = editor.node(recode).in(0);
    } else {
      codes = editor.add_value("", {Dtype::kUint8, editor.graph().value(node.in(0)).type.shape});
      Node forth = intact_node(editor.graph(), "Recode", {node.in(0)});
      forth.outputs = {codes};
      editor.add(std::move(forth));
    }
    Node unsigned_dq = node;
    unsigned_dq.inputs = {codes, node.in(1), shifted_zero(editor, map)};
    editor.rewrite(n, std::move(unsigned_dq));
  }
  return editor.finish();
}

}  // namespace intact
