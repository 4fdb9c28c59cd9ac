#include "passes/hoist_conversions.h"

#include <algorithm>
#include <map>
#include <string>

#include "passes/edit.h"
#include "passes/layout_traits.h"

namespace intact {
namespace {

bool is_conversion(const Node& node) {
  return node.is("ToPlain", "intact") || node.is("ToChannelsLast", "intact");
}

// True when a is surely smaller in memory than b. Dimensions that are not known cancel when the
// same symbol stands in both; otherwise nothing is sure.
bool is_smaller(const Known& a, const Known& b) {
  if (!a.shape || !b.shape) return false;
  double bytes[2];
  std::map<std::string, int> symbols;
  for (const int side : {0, 1}) {
    const Known& k = side == 0 ? a : b;
    const int bits = bits_of(k.dtype);
    if (bits == 0) return false;
    bytes[side] = bits;
    for (const Dim& d : *k.shape) {
      if (d.known())
        bytes[side] *= static_cast<double>(d.size);
      else
        symbols[d.symbol] += side == 0 ? 1 : -1;
    }
  }
  const bool cancel = std::all_of(symbols.begin(), symbols.end(),
                                  [](const auto& entry) { return entry.second == 0; });
  return cancel && bytes[0] < bytes[1];
}

// The input of a node that may exchange places with a conversion behind it, or kNoValue.
ValueId movable_input(const Editor& editor, const ShapeAnalysis& known, std::int32_t n) {
  const Node& node = editor.node(n);
  if (layout_kind(known, node) != LayoutKind::kFollow || node.outputs.size() != 1) return kNoValue;
  const ValueId x = node.in(0);
  if (known.rank(x) != known.rank(node.out(0))) return kNoValue;
  for (std::size_t i = 1; i < node.inputs.size(); ++i)
    if (node.inputs[i] != kNoValue && editor.graph().constant(node.inputs[i]) == nullptr)
      return kNoValue;
  return x;
}

// The value in the other order, when somebody has already made it.
ValueId existing(const Editor& editor, ValueId x, const std::string& op) {
  for (const std::int32_t r : editor.readers(x))
    if (editor.node(r).is(op, "intact")) return editor.node(r).out(0);
  return kNoValue;
}

}  // namespace

Status hoist_conversions(Graph& graph) {
  const ShapeAnalysis known(graph);
  Editor editor(graph);
  const std::int32_t count = editor.num_nodes();
  for (std::int32_t first = 0; first < count; ++first) {
    std::int32_t n = first;  // Where the conversion is now.
    while (!editor.node(n).op.empty() && is_conversion(editor.node(n))) {
      const Node conversion = editor.node(n);
      const ValueId y = conversion.in(0);
      const std::int32_t p = editor.producer(y);
      if (p < 0 || !editor.single_use(y)) break;
      const ValueId x = movable_input(editor, known, p);
      if (x == kNoValue) break;
      const ValueId made = existing(editor, x, conversion.op);
      if (made == kNoValue && !is_smaller(known[x], known[y])) break;

      // x -> A -> y -> convert -> out   becomes   x -> convert -> x' -> A -> out
      Node moved = editor.node(p);
      moved.outputs = conversion.outputs;
      ValueId converted = made;
      if (made == kNoValue) {
        ValueType type = graph.value(x).type;
        type.layout = graph.value(conversion.out(0)).type.layout;
        const bool last = type.layout == Layout::kChannelsLast;
        converted = editor.add_value(graph.value(x).name + (last ? ".cl" : ".plain"), type);
      }
      moved.inputs[0] = converted;
      std::int32_t before = -1;
      if (made == kNoValue) {
        Node node = conversion;
        node.inputs = {x};
        node.outputs = {converted};
        before = editor.add(std::move(node));  // First, so that x keeps a reader.
      }
      editor.rewrite(n, std::move(moved));  // A leaves its old place with its last reader.
      if (before < 0) break;
      n = before;
    }
  }
  return editor.finish();
}

}  // namespace intact
