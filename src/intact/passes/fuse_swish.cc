// fuse_swish: recognizes hard sigmoid, hard swish and SiLU in the pieces that exporters leave of
// them.
//
//   clip(x + 3, 0, 6) / 6                    -> HardSigmoid(x), alpha = 1/6, beta = 1/2
//   x HardSigmoid(x), x clip(x + 3, 0, 6) / 6  -> intact.HardSwish(x)
//   (x clip(x + 3, 0, 6)) / 6                -> intact.HardSwish6(x), the same in these roundings
//   x sigmoid(x)                             -> intact.Silu(x)
//
// Four passes over memory become one. Elsewhere than after the product with x, or as a product with
// 1/6, the division gives HardSwish, which rounds otherwise; Clip may be of any opset. No piece may
// have another reader, and nothing else may stand between them: a quantizer in the middle is a
// rounding that the file asks for.
#include "passes/patterns.h"
#include "passes/registry.h"

namespace intact {
namespace {

constexpr double kSixth = 1.0 / 6.0;

// x, when v = clip(x + 3, 0, 6) and its parts are used for nothing else.
ValueId relu6_of_shifted(const Editor& editor, ValueId v) {
  const std::int32_t clip = editor.producer(v);
  if (clip < 0 || !editor.single_use(v)) return kNoValue;
  const auto bounds = clamp_of(editor.graph(), editor.node(clip));
  if (!bounds || bounds->lo != 0 || bounds->hi != 6) return kNoValue;
  const ValueId sum = editor.node(clip).in(0);
  const std::int32_t add = editor.producer(sum, "Add");
  if (add < 0 || !editor.single_use(sum)) return kNoValue;
  const auto shifted = with_scalar(editor.graph(), editor.node(add));
  return shifted && shifted->c == 3 ? shifted->x : kNoValue;
}

// x, when v = HardSigmoid(x) with the slope and offset of hard swish.
ValueId hard_sigmoid_of(const Editor& editor, ValueId v) {
  const std::int32_t n = editor.producer(v, "HardSigmoid");
  if (n < 0 || !editor.single_use(v)) return kNoValue;
  const Node& node = editor.node(n);
  const bool fits = is_about(static_cast<double>(node.get_float("alpha", 0.2F)), kSixth) &&
                    is_about(static_cast<double>(node.get_float("beta", 0.5F)), 0.5);
  return fits ? node.in(0) : kNoValue;
}

ValueId sigmoid_of(const Editor& editor, ValueId v) {
  const std::int32_t n = editor.producer(v, "Sigmoid");
  return n >= 0 && editor.single_use(v) ? editor.node(n).in(0) : kNoValue;
}

// True when the node divides the product of two values by 6.
bool divides_product(const Editor& editor, const Node& node, ValueId a, ValueId b) {
  const auto by = with_scalar(editor.graph(), node);
  const std::int32_t n = editor.producer(node.in(0), "Mul");
  if (!node.is("Div") || !by || by->x != node.in(0) || by->c != 6 || n < 0) return false;
  const Node& product = editor.node(n);
  return (product.in(0) == a && product.in(1) == b) || (product.in(0) == b && product.in(1) == a);
}

bool fuse(Editor& editor, std::int32_t n) {
  Graph& graph = editor.graph();
  const Product product = product_of(editor, editor.node(n).out(0));
  const auto& leaves = product.leaves;

  if (leaves.size() == 1 && is_about(product.factor, kSixth)) {
    const ValueId x = relu6_of_shifted(editor, leaves[0]);
    if (x == kNoValue) return false;
    Node node;
    node.op = "HardSigmoid";
    node.inputs = {x};
    node.attributes["alpha"] = static_cast<float>(kSixth);
    node.attributes["beta"] = 0.5F;
    editor.rewrite(n, std::move(node));
    return true;
  }
  if (leaves.size() != 2) return false;
  for (const std::size_t i : {0, 1}) {
    const ValueId x = leaves[i];
    const ValueId gate = leaves[1 - i];
    const char* op = nullptr;
    if (product.factor == 1 && sigmoid_of(editor, gate) == x) op = "Silu";
    if (product.factor == 1 && hard_sigmoid_of(editor, gate) == x) op = "HardSwish";
    if (is_about(product.factor, kSixth) && relu6_of_shifted(editor, gate) == x)
      op = divides_product(editor, editor.node(n), x, gate) ? "HardSwish6" : "HardSwish";
    if (op == nullptr) continue;
    editor.rewrite(n, intact_node(graph, op, {x}));
    return true;
  }
  return false;
}

}  // namespace

Status fuse_swish(Graph& graph, PassContext&) {
  Editor editor(graph);
  for (std::int32_t n = 0; n < editor.num_nodes(); ++n)
    if (editor.node(n).is("Mul") || editor.node(n).is("Div")) fuse(editor, n);
  return editor.finish();
}

}  // namespace intact
