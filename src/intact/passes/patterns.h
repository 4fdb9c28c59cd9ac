// patterns.h: small questions that the fusing passes ask of the graph around a node.
#pragma once

#include <optional>
#include <vector>

#include "passes/edit.h"
#include "passes/node_traits.h"

namespace intact {

// A commutative node with a one-element constant on one side: op(x, c) or op(c, x).
struct WithScalar {
  ValueId x = kNoValue;
  double c = 0;
};
std::optional<WithScalar> with_scalar(const Graph& graph, const Node& node);

// The bounds of Relu and of Clip with constant bounds (any opset); infinite where there is none.
struct Bounds {
  double lo;
  double hi;
};
std::optional<Bounds> clamp_of(const Graph& graph, const Node& node);

// A product written as a tree of Mul, Div by a constant, and Pow by a small positive integer:
//
//   v = factor * leaf[0] * leaf[1] * ...
//
// The tree is followed through values that have one use; `root` itself is always opened.
struct Product {
  double factor = 1;
  std::vector<ValueId> leaves;
};
Product product_of(const Editor& editor, ValueId root);

// True when |a - b| <= 1e-5 |b|: the same constant after an exporter's rounding.
bool is_about(double a, double b);

// A node of our own domain; registers the domain with the graph.
Node intact_node(Graph& graph, std::string op, std::vector<ValueId> inputs);

}  // namespace intact
