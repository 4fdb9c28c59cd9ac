// fuse_linear: turns every product with a constant matrix into one operator.
//
//   intact.Linear(x, w, b?)     y[.., n] = sum_k x[.., k] w[k, n] + b[n]
//
// MatMul with a constant right side, the Add of a constant row behind it, and Gemm with all its
// flags (transB, alpha, beta folded into w and b) are the same layer to whoever packs weights and
// chooses kernels. Left as they are: a transposed left side, weights that are not constant (also
// those behind a DequantizeLinear), a bias that varies along the rows.
#include <algorithm>
#include <cstring>

#include "passes/affine_map.h"
#include "passes/patterns.h"
#include "passes/registry.h"
#include "passes/shape_analysis.h"

namespace intact {
namespace {

// Elements of `Bytes` each, in squares that stay in the first-level cache.
template <std::size_t Bytes>
void turn(const std::byte* from, std::byte* to, std::size_t rows, std::size_t cols) {
  constexpr std::size_t kSide = 16;
  for (std::size_t i0 = 0; i0 < rows; i0 += kSide)
    for (std::size_t j0 = 0; j0 < cols; j0 += kSide)
      for (std::size_t j = j0; j < std::min(cols, j0 + kSide); ++j)
        for (std::size_t i = i0; i < std::min(rows, i0 + kSide); ++i)
          std::memcpy(to + (j * rows + i) * Bytes, from + (i * cols + j) * Bytes, Bytes);
}

// Of floats of any width.
Tensor transposed(const Tensor& w) {
  const auto rows = static_cast<std::size_t>(w.shape()[0]);
  const auto cols = static_cast<std::size_t>(w.shape()[1]);
  const Shape shape{w.shape()[1], w.shape()[0]};
  Tensor out(w.dtype(), shape, Buffer::allocate_uninitialized(w.bytes()));
  switch (bits_of(w.dtype())) {
    case 16:
      turn<2>(w.stored().data(), out.raw(), rows, cols);
      break;
    case 32:
      turn<4>(w.stored().data(), out.raw(), rows, cols);
      break;
    default:
      turn<8>(w.stored().data(), out.raw(), rows, cols);
  }
  return out;
}

Tensor times(const Tensor& t, double factor) {
  auto v = to_float64(t);
  for (double& x : v) x *= factor;
  return from_float64(t.dtype(), t.shape(), v);
}

// The constant as one row of n elements.
Tensor row(const Tensor& t, std::size_t n) {
  if (t.size() == static_cast<std::int64_t>(n)) return t.reshaped({t.size()});
  const std::vector<double> v(n, to_float64(t)[0]);
  return from_float64(t.dtype(), {static_cast<std::int64_t>(n)}, v);
}

void from_matmul(Editor& editor, std::int32_t n) {
  const Node& node = editor.node(n);
  if (!layer_of(editor.graph(), node)) return;
  editor.rewrite(n, intact_node(editor.graph(), "Linear", {node.in(0), node.in(1)}));
}

void from_gemm(Editor& editor, std::int32_t n) {
  const Node node = editor.node(n);
  Graph& graph = editor.graph();
  const auto layer = layer_of(graph, node);
  if (!layer || node.get_int("transA", 0) != 0) return;
  std::vector<ValueId> inputs{node.in(0), node.in(1)};
  const double alpha = static_cast<double>(node.get_float("alpha", 1.0F));
  const double beta = static_cast<double>(node.get_float("beta", 1.0F));
  const bool turn = node.get_int("transB", 0) != 0;
  if (turn || alpha != 1) {
    Tensor w = *graph.constant(node.in(1));
    if (turn) w = transposed(w);
    if (alpha != 1) w = times(w, alpha);
    inputs[1] = editor.changed_constant(n, node.in(1), std::move(w));
  }
  if (node.in(2) != kNoValue && beta != 0) {
    Tensor b = row(*graph.constant(node.in(2)), layer->channels);
    if (beta != 1) b = times(b, beta);
    const bool is_new = b.shape() != graph.constant(node.in(2))->shape() || beta != 1;
    inputs.push_back(is_new ? editor.changed_constant(n, node.in(2), std::move(b)) : node.in(2));
  }
  editor.rewrite(n, intact_node(graph, "Linear", std::move(inputs)));
}

// Add of a constant that varies along the last axis only, behind a Linear without bias.
void take_bias(Editor& editor, const ShapeAnalysis& known, std::int32_t n) {
  const Node add = editor.node(n);
  Graph& graph = editor.graph();
  const std::size_t c = graph.constant(add.in(1)) != nullptr ? 1 : 0;
  const Tensor* b = graph.constant(add.in(c));
  const ValueId y = add.in(1 - c);
  if (b == nullptr || y == kNoValue || !editor.single_use(y)) return;
  const std::int32_t p = editor.producer(y, "Linear", "intact");
  if (p < 0 || editor.node(p).in(2) != kNoValue) return;
  const Node linear = editor.node(p);
  const Tensor& w = *graph.constant(linear.in(1));
  const std::int64_t columns = w.shape()[1];
  if (b->dtype() != w.dtype() || (b->size() != 1 && b->size() != columns)) return;
  if (b->rank() > 0 && b->shape().back() != b->size()) return;
  // More axes than the product has would add axes to the result.
  if (b->rank() > 1 && known.rank(linear.in(0)) < static_cast<int>(b->rank())) return;
  Node out = linear;
  out.outputs.clear();
  const ValueId bias =
      b->shape() == Shape{columns}
          ? add.in(c)
          : editor.changed_constant(n, add.in(c), row(*b, static_cast<std::size_t>(columns)));
  out.inputs.push_back(bias);
  editor.rewrite(n, std::move(out));
}

}  // namespace

Status fuse_linear(Graph& graph, PassContext&) {
  const ShapeAnalysis known(graph);
  Editor editor(graph);
  for (std::int32_t n = 0; n < editor.num_nodes(); ++n) {
    if (editor.node(n).is("MatMul"))
      from_matmul(editor, n);
    else if (editor.node(n).is("Gemm"))
      from_gemm(editor, n);
    else if (editor.node(n).is("Add"))
      take_bias(editor, known, n);
  }
  return editor.finish();
}

}  // namespace intact
