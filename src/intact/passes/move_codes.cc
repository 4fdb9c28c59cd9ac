// move_codes: operators that only move elements work on codes instead of on reals.
//
// DequantizeLinear with one map commutes with every movement of elements, and so does
// QuantizeLinear:
//
//   M(DQ(q)) = DQ(M(q))          Q(M(x)) = M(Q(x))          Q(Concat(x, y)) = Concat(Q(x), Q(y))
//
// so DQ sinks below movements and Q rises above them. Bytes move in place of floats, and a Q that
// has risen to the product that made its value becomes part of that product. MaxPool keeps order,
// so it counts as a movement. The Q and DQ performed are the file's: the same map on the same
// elements.

#include <algorithm>
#include <array>

#include "passes/codes.h"
#include "passes/registry.h"

namespace intact {
namespace {

constexpr std::array<std::string_view, 16> kMovements = {
    "Reshape",      "Transpose",    "Squeeze", "Unsqueeze", "Flatten",  "Slice",
    "Split",        "Expand",       "Tile",    "Gather",    "Identity", "MaxPool",
    "DepthToSpace", "SpaceToDepth", "Concat",  "Resize"};
constexpr std::array<std::string_view, 5> kOurMovements = {"ToChannelsLast", "ToPlain", "ViewPlain",
                                                           "ViewChannelsLast", "Channels"};

bool is_movement(const Graph& graph, const Node& node) {
  if (node.domain == "intact")
    return std::find(kOurMovements.begin(), kOurMovements.end(), node.op) != kOurMovements.end();
  if (!node.domain.empty() ||
      std::find(kMovements.begin(), kMovements.end(), node.op) == kMovements.end())
    return false;
  if (node.op == "Resize" && node.get_string("mode", "nearest") != "nearest") return false;
  if (node.op == "MaxPool" && node.out(1) != kNoValue) return false;
  return graph.constant(node.in(0)) == nullptr;
}

ValueType codes_type(const Graph& graph, ValueId like) {
  ValueType type = graph.value(like).type;
  type.dtype = Dtype::kUint8;
  return type;
}

// What DQ makes of codes with a map that the movement may go before: one for the tensor, or one a
// channel of an image that is only laid out anew.
std::optional<Dequantized> movable_codes(const Editor& editor, const Node& node, ValueId value) {
  auto d = dequantized_codes(editor, value);
  if (!d && (node.is("ToChannelsLast", "intact") || node.is("ToPlain", "intact")))
    d = dequantized_image(editor, value);
  return d;
}

// M(DQ(q)) -> DQ(M(q)). All data inputs must be DQ of one and the same map.
bool sink(Editor& editor, std::int32_t n) {
  const Node node = editor.node(n);
  const std::size_t data_inputs = node.op == "Concat" ? node.inputs.size() : 1;
  std::vector<Dequantized> sources;
  for (std::size_t i = 0; i < data_inputs; ++i) {
    auto d = movable_codes(editor, node, node.in(i));
    if (!d || (!sources.empty() && d->map != sources[0].map)) return false;
    sources.push_back(std::move(*d));
  }
  const Node dq = editor.node(sources[0].node);
  Node moved = node;
  for (std::size_t i = 0; i < data_inputs; ++i) moved.inputs[i] = sources[i].codes;
  for (ValueId& out : moved.outputs)
    if (out != kNoValue) out = editor.add_value("", codes_type(editor.graph(), out));
  const auto codes = moved.outputs;
  editor.add(std::move(moved));
  std::vector<Node> back;
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i] == kNoValue) continue;
    Node d = dq;
    d.name.clear();
    d.inputs[0] = codes[i];
    d.outputs = {node.outputs[i]};
    back.push_back(std::move(d));
  }
  if (back.empty()) return false;
  editor.rewrite(n, back[0]);
  for (std::size_t i = 1; i < back.size(); ++i) editor.add(std::move(back[i]));
  return true;
}

// Q(M(x)) -> M(Q(x)) when the movement's one result goes to the Q alone.
bool rise(Editor& editor, std::int32_t n) {
  const Node q = editor.node(n);
  if (!quantize_map(editor.graph(), q) || !editor.single_use(q.in(0))) return false;
  const std::int32_t m = editor.producer(q.in(0));
  if (m < 0) return false;
  const Node node = editor.node(m);
  if (!is_movement(editor.graph(), node) || node.op == "Split" || node.op == "Expand" ||
      node.op == "Tile" || node.op == "Resize")
    return false;  // The last three would quantize fewer elements, but Q then has more readers to
                   // serve.
  Node moved = node;
  const std::size_t data_inputs = node.op == "Concat" ? node.inputs.size() : 1;
  for (std::size_t i = 0; i < data_inputs; ++i) {
    Node q_in = q;
    q_in.name.clear();
    q_in.inputs[0] = node.in(i);
    const ValueId codes = editor.add_value("", codes_type(editor.graph(), node.in(i)));
    q_in.outputs = {codes};
    editor.add(std::move(q_in));
    moved.inputs[i] = codes;
  }
  moved.outputs = q.outputs;
  editor.rewrite(n, std::move(moved));
  return true;
}

}  // namespace

Status move_codes(Graph& graph, PassContext&) {
  for (bool again = true; again;) {
    again = false;
    Editor editor(graph);
    const std::int32_t count = editor.num_nodes();
    for (std::int32_t n = 0; n < count; ++n) {
      if (editor.node(n).op.empty()) continue;
      if (is_movement(editor.graph(), editor.node(n)))
        again |= sink(editor, n);
      else if (editor.node(n).is("QuantizeLinear"))
        again |= rise(editor, n);
    }
    INTACT_TRY(editor.finish());
  }
  return {};
}

}  // namespace intact
