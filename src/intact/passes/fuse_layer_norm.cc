// fuse_layer_norm: recognizes layer normalization over the last axis, written in pieces.
//
//   d = x - mean(x)
//   y = d / sqrt(mean(d^2) + epsilon) * g + b        (g and b: constants, one a last-axis index)
//
// Models exported before opset 17 have nine nodes for it; as one operator it reads the row once,
// and its mean and variance come from one sweep. It becomes ONNX's LayerNormalization where the
// opset has it and intact.LayerNormalization, with the same meaning, where it does not.
#include "passes/patterns.h"
#include "passes/registry.h"
#include "passes/shape_analysis.h"

namespace intact {
namespace {

// x, when v = ReduceMean(x) over the last axis, which stays as a 1.
ValueId mean_of(const Editor& editor, const ShapeAnalysis& known, ValueId v) {
  const std::int32_t n = editor.producer(v, "ReduceMean");
  if (n < 0) return kNoValue;
  const Node& node = editor.node(n);
  const int rank = known.rank(node.in(0));
  const auto axes = ints_attribute_or_input(editor.graph(), node, "axes", 1);
  if (rank < 1 || !axes || axes->values.size() != 1 || node.get_int("keepdims", 1) == 0)
    return kNoValue;
  const std::int64_t axis = axes->values[0];
  return axis == -1 || axis == rank - 1 ? node.in(0) : kNoValue;
}

// d, when v = d^2.
ValueId square_of(const Editor& editor, ValueId v) {
  if (const std::int32_t n = editor.producer(v, "Pow"); n >= 0) {
    const auto power = scalar_of(editor.graph(), editor.node(n).in(1));
    return power && *power == 2 ? editor.node(n).in(0) : kNoValue;
  }
  const std::int32_t n = editor.producer(v, "Mul");
  return n >= 0 && editor.node(n).in(0) == editor.node(n).in(1) ? editor.node(n).in(0) : kNoValue;
}

struct Normalized {
  ValueId x = kNoValue;
  double epsilon = 0;
};

// Node n, a Div (or a Mul with a Reciprocal), when it makes d / sqrt(mean(d^2) + epsilon).
std::optional<Normalized> normalized_by(const Editor& editor, const ShapeAnalysis& known,
                                        std::int32_t n) {
  const Graph& graph = editor.graph();
  const ValueId d = editor.node(n).in(0);
  ValueId root = editor.node(n).in(1);
  if (editor.node(n).is("Mul")) {
    const std::int32_t inverse = editor.producer(root, "Reciprocal");
    if (inverse < 0 || !editor.single_use(root)) return std::nullopt;
    root = editor.node(inverse).in(0);
  } else if (!editor.node(n).is("Div")) {
    return std::nullopt;
  }
  const std::int32_t sqrt = editor.producer(root, "Sqrt");
  if (sqrt < 0 || !editor.single_use(root)) return std::nullopt;
  const ValueId sum = editor.node(sqrt).in(0);
  const std::int32_t add = editor.producer(sum, "Add");
  if (add < 0 || !editor.single_use(sum)) return std::nullopt;
  const auto epsilon = with_scalar(graph, editor.node(add));
  if (!epsilon || epsilon->c < 0 || !editor.single_use(epsilon->x)) return std::nullopt;
  const ValueId squared = mean_of(editor, known, epsilon->x);
  if (squared == kNoValue || !editor.single_use(squared) || square_of(editor, squared) != d)
    return std::nullopt;
  const std::int32_t square = editor.producer(squared);
  const std::int32_t sub = editor.producer(d, "Sub");
  if (sub < 0 || !editor.used_only_by(d, {n, square})) return std::nullopt;
  const ValueId x = editor.node(sub).in(0);
  const ValueId mean = editor.node(sub).in(1);
  if (!editor.single_use(mean) || mean_of(editor, known, mean) != x) return std::nullopt;
  return Normalized{x, epsilon->c};
}

// The only reader of v, when it is that operator with a constant vector of `size` elements.
std::int32_t reader_with_vector(const Editor& editor, ValueId v, std::string_view op,
                                std::int64_t size, ValueId& vector) {
  if (!editor.single_use(v)) return -1;
  const std::int32_t n = editor.readers(v)[0];
  const Node& node = editor.node(n);
  if (!node.is(op)) return -1;
  vector = node.in(0) == v ? node.in(1) : node.in(0);
  const Tensor* t = editor.graph().constant(vector);
  return t != nullptr && t->shape() == Shape{size} ? n : -1;
}

}  // namespace

Status fuse_layer_norm(Graph& graph, PassContext&) {
  const ShapeAnalysis known(graph);
  Editor editor(graph);
  for (std::int32_t n = 0; n < editor.num_nodes(); ++n) {
    if (!editor.node(n).is("Div") && !editor.node(n).is("Mul")) continue;
    const auto found = normalized_by(editor, known, n);
    if (!found) continue;
    const auto& shape = known.shape(found->x);
    if (!shape || shape->empty() || !shape->back().known()) continue;
    const std::int64_t size = shape->back().size;
    ValueId g = kNoValue;
    ValueId b = kNoValue;
    const std::int32_t mul = reader_with_vector(editor, editor.node(n).out(0), "Mul", size, g);
    if (mul < 0) continue;
    const std::int32_t add = reader_with_vector(editor, editor.node(mul).out(0), "Add", size, b);
    std::vector<ValueId> inputs{found->x, g};
    if (add >= 0) inputs.push_back(b);
    Node node;
    if (graph.opset() >= 17) {
      node.op = "LayerNormalization";
      node.inputs = std::move(inputs);
    } else {
      node = intact_node(graph, "LayerNormalization", std::move(inputs));
    }
    node.attributes["axis"] = std::int64_t{-1};
    node.attributes["epsilon"] = static_cast<float>(found->epsilon);
    editor.rewrite(add >= 0 ? add : mul, std::move(node));
  }
  return editor.finish();
}

}  // namespace intact
