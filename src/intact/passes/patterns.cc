#include "passes/patterns.h"

#include <cmath>
#include <limits>

#include "ir/intact_ops.h"

namespace intact {
namespace {

constexpr int kMaxDepth = 8;

// Multiplies the expression that makes v into the product.
void multiply(const Editor& editor, ValueId v, bool open, int depth, Product& product) {
  const Graph& graph = editor.graph();
  if (const auto c = scalar_of(graph, v)) {
    product.factor *= *c;
    return;
  }
  const std::int32_t n = editor.producer(v);
  if (n < 0 || !open || depth == 0) {
    product.leaves.push_back(v);
    return;
  }
  const Node& node = editor.node(n);
  const auto into = [&](ValueId input) {
    multiply(editor, input, editor.single_use(input), depth - 1, product);
  };
  if (node.is("Mul")) {
    into(node.in(0));
    into(node.in(1));
    return;
  }
  if (node.is("Div")) {
    const auto c = scalar_of(graph, node.in(1));
    if (c && *c != 0) {
      product.factor /= *c;
      into(node.in(0));
      return;
    }
  }
  if (node.is("Pow")) {
    const auto power = scalar_of(graph, node.in(1));
    if (power && (*power == 2 || *power == 3)) {
      product.leaves.insert(product.leaves.end(), static_cast<std::size_t>(*power), node.in(0));
      return;
    }
  }
  product.leaves.push_back(v);
}

}  // namespace

std::optional<WithScalar> with_scalar(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 2) return std::nullopt;
  if (const auto c = scalar_of(graph, node.in(1))) return WithScalar{node.in(0), *c};
  if (const auto c = scalar_of(graph, node.in(0))) return WithScalar{node.in(1), *c};
  return std::nullopt;
}

std::optional<Bounds> clamp_of(const Graph& graph, const Node& node) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  constexpr float kLowest = std::numeric_limits<float>::lowest();
  constexpr float kMax = std::numeric_limits<float>::max();
  if (node.is("Relu")) return Bounds{0, kInfinity};
  if (!node.is("Clip")) return std::nullopt;
  Bounds b{-kInfinity, kInfinity};
  if (node.has("min")) b.lo = static_cast<double>(node.get_float("min", kLowest));
  if (node.has("max")) b.hi = static_cast<double>(node.get_float("max", kMax));
  if (node.in(1) != kNoValue) {
    const auto lo = scalar_of(graph, node.in(1));
    if (!lo) return std::nullopt;
    b.lo = *lo;
  }
  if (node.in(2) != kNoValue) {
    const auto hi = scalar_of(graph, node.in(2));
    if (!hi) return std::nullopt;
    b.hi = *hi;
  }
  if (b.lo > b.hi) return std::nullopt;  // Legal in ONNX, with a meaning of its own.
  return b;
}

Product product_of(const Editor& editor, ValueId root) {
  Product product;
  multiply(editor, root, true, kMaxDepth, product);
  return product;
}

bool is_about(double a, double b) { return std::abs(a - b) <= 1e-5 * std::abs(b); }

Node intact_node(Graph& graph, std::string op, std::vector<ValueId> inputs) {
  graph.opsets.emplace(std::string(kIntactDomain), 1);
  Node node;
  node.op = std::move(op);
  node.domain = std::string(kIntactDomain);
  node.inputs = std::move(inputs);
  return node;
}

}  // namespace intact
