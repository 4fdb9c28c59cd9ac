// fuse_gelu: recognizes the two forms of GELU.
//
//   x/2 (1 + erf(x / sqrt 2))                            -> intact.Gelu(x), approximate = "none"
//   x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))        -> intact.Gelu(x), approximate = "tanh"
//
// Exporters multiply the factors in any order, divide by sqrt 2 or multiply with its inverse, and
// write the cube as Pow or as products, also as x (1 + 0.044715 x^2); a product is therefore
// compared as a set of factors. Constants must agree to 1 in 10^5, what float16 text would not.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "passes/patterns.h"
#include "passes/registry.h"

namespace intact {
namespace {

// The other summand, when v = c + y with a constant c of that value, and v has one use.
ValueId plus_constant(const Editor& editor, ValueId v, double c) {
  const std::int32_t n = editor.producer(v, "Add");
  if (n < 0 || !editor.single_use(v)) return kNoValue;
  const auto sum = with_scalar(editor.graph(), editor.node(n));
  return sum && is_about(sum->c, c) ? sum->x : kNoValue;
}

// The argument of a function of one input with one use.
ValueId argument(const Editor& editor, ValueId v, std::string_view op) {
  const std::int32_t n = editor.producer(v, op);
  return n >= 0 && editor.single_use(v) ? editor.node(n).in(0) : kNoValue;
}

// True when v = factor * x^power.
bool is_power(const Editor& editor, ValueId v, double factor, ValueId x, std::size_t power) {
  const Product p = product_of(editor, v);
  return is_about(p.factor, factor) && p.leaves.size() == power &&
         std::all_of(p.leaves.begin(), p.leaves.end(), [&](ValueId leaf) { return leaf == x; });
}

bool is_erf_argument(const Editor& editor, ValueId v, ValueId x) {
  return is_power(editor, v, 1.0 / std::numbers::sqrt2, x, 1);
}

bool is_tanh_argument(const Editor& editor, ValueId v, ValueId x) {
  constexpr double kCubic = 0.044715;
  const double outer = std::sqrt(2.0 / std::numbers::pi);
  const Product p = product_of(editor, v);
  if (!is_about(p.factor, outer)) return false;
  if (p.leaves.size() == 1) {  // outer (x + c x^3)
    const std::int32_t n = editor.producer(p.leaves[0], "Add");
    if (n < 0 || !editor.single_use(p.leaves[0])) return false;
    const Node& add = editor.node(n);
    return (add.in(0) == x && is_power(editor, add.in(1), kCubic, x, 3)) ||
           (add.in(1) == x && is_power(editor, add.in(0), kCubic, x, 3));
  }
  if (p.leaves.size() != 2) return false;
  for (const std::size_t i : {0, 1}) {  // outer x (1 + c x^2)
    const ValueId rest = plus_constant(editor, p.leaves[1 - i], 1.0);
    if (p.leaves[i] == x && rest != kNoValue && is_power(editor, rest, kCubic, x, 2)) return true;
  }
  return false;
}

// 1 when the root is x/2 (1 + erf(..)), 2 with tanh, 0 otherwise.
int match(const Editor& editor, ValueId root, ValueId& x) {
  const Product p = product_of(editor, root);
  if (p.leaves.size() != 2 || !is_about(p.factor, 0.5)) return 0;
  for (const std::size_t i : {0, 1}) {
    x = p.leaves[i];
    const ValueId f = plus_constant(editor, p.leaves[1 - i], 1.0);
    if (f == kNoValue) continue;
    if (const ValueId u = argument(editor, f, "Erf");
        u != kNoValue && is_erf_argument(editor, u, x))
      return 1;
    if (const ValueId u = argument(editor, f, "Tanh");
        u != kNoValue && is_tanh_argument(editor, u, x))
      return 2;
  }
  return 0;
}

}  // namespace

Status fuse_gelu(Graph& graph, PassContext&) {
  Editor editor(graph);
  for (std::int32_t n = 0; n < editor.num_nodes(); ++n) {
    if (!editor.node(n).is("Mul") && !editor.node(n).is("Div")) continue;
    ValueId x = kNoValue;
    const int form = match(editor, editor.node(n).out(0), x);
    if (form == 0) continue;
    Node gelu = intact_node(graph, "Gelu", {x});
    gelu.attributes["approximate"] = std::string(form == 1 ? "none" : "tanh");
    editor.rewrite(n, std::move(gelu));
  }
  return editor.finish();
}

}  // namespace intact
