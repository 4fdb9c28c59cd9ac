// fuse_qdq: products whose operands are codes become integer products.
//
//   Conv(DQ(x), DQ(w), DQ(b))      -> intact.QConv(x, w, b)            ConvTranspose likewise
//   MatMul | Gemm (DQ(x), DQ(w))   -> intact.QLinear(x, w, b?)
//   MatMul(DQ(a), DQ(b))           -> intact.QMatMul(a, b)
//   Gather(DQ(table), i)           -> intact.QGather(table, i)
//   AveragePool | GlobalAveragePool between DQ and Q -> intact.QAveragePool | QGlobalAveragePool
//
// A convolution that copies the rows of its image may have a zero point a channel there: it pads
// with them. The map of the codes is written on the values (Value::quant). Results are reals until
// fuse_chain takes the Q that follows into the product. An int32 bias whose scale is not s_x s_w
// becomes float.

#include <cmath>

#include "passes/codes.h"
#include "passes/patterns.h"
#include "passes/registry.h"
#include "passes/shape_analysis.h"

namespace intact {
namespace {

// Constant 8-bit weights with a scale for the tensor or along `axis`; annotated.
ValueId weight_codes(Editor& editor, ValueId value, int axis, Quant* map) {
  const auto w = dequantized(editor, value);
  if (!w || w->dtype == Dtype::kInt32 || editor.graph().constant(w->codes) == nullptr)
    return kNoValue;
  Quant m = w->map;
  if (!w->per_tensor() && m.axis != axis) return kNoValue;
  ValueId codes = w->codes;
  if (!annotate(editor.graph(), codes, m)) {
    codes = editor.add_constant("", *editor.graph().constant(codes));
    editor.graph().value(codes).quant = m;
  }
  *map = m;
  return codes;
}

// The bias as an int32 constant in steps of s_x s_w, or as float32. kNoValue when there is none;
// `ok` is false when it is computed.
ValueId bias_of(Editor& editor, ValueId value, const Quant& x, const Quant& w, bool* ok) {
  *ok = true;
  if (value == kNoValue) return kNoValue;
  const Tensor* real = editor.graph().constant(value);
  if (real != nullptr && real->dtype() == Dtype::kFloat32) return value;
  const auto b = dequantized(editor, value);
  const Tensor* codes = b ? editor.graph().constant(b->codes) : nullptr;
  *ok = codes != nullptr;
  if (!*ok) return kNoValue;
  bool matches = codes->dtype() == Dtype::kInt32;
  const auto n = static_cast<std::size_t>(codes->size());
  const auto pick = [](const std::vector<float>& v, std::size_t i) {
    return static_cast<double>(v[v.size() == 1 ? 0 : i]);
  };
  for (std::size_t i = 0; matches && i < n; ++i) {
    const double wanted = static_cast<double>(x.scale[0]) * pick(w.scale, i);
    const double given = pick(b->map.scale, i);
    matches = std::fabs(given - wanted) <= 2e-7 * wanted &&
              b->map.zero_point[b->map.zero_point.size() == 1 ? 0 : i] == 0;
  }
  if (matches) return b->codes;
  auto values = to_float64(*codes);
  for (std::size_t i = 0; i < n; ++i)
    values[i] = pick(b->map.scale, i) *
                (values[i] - b->map.zero_point[b->map.zero_point.size() == 1 ? 0 : i]);
  return editor.add_constant("", from_float64(Dtype::kFloat32, codes->shape(), values));
}

void fuse_conv(Editor& editor, const ShapeAnalysis& known, std::int32_t n) {
  const Node node = editor.node(n);
  if (known.rank(node.in(0)) < 3) return;  // Channels-last is for images of known rank.
  auto x = dequantized_codes(editor, node.in(0));
  if (const auto weights = dequantized(editor, node.in(1));
      !x && weights && node.is("Conv") &&
      copies_rows(node, editor.graph().constant(weights->codes)))
    x = dequantized_image(editor, node.in(0));
  Quant w_map;
  bool ok = false;
  const bool transposed = node.op == "ConvTranspose";
  // The channels of a grouped transposed convolution are not one axis of its weights.
  if (!x || (transposed && node.get_int("group", 1) != 1)) return;
  const ValueId w = weight_codes(editor, node.in(1), transposed ? 1 : 0, &w_map);
  if (w == kNoValue) return;
  const ValueId bias = bias_of(editor, node.in(2), x->map, w_map, &ok);
  if (!ok || !annotate(editor.graph(), x->codes, x->map)) return;
  Node q = intact_node(editor.graph(), "Q" + node.op, {x->codes, w});
  if (bias != kNoValue) q.inputs.push_back(bias);
  q.name = node.name;
  q.attributes = node.attributes;
  editor.rewrite(n, std::move(q));
}

void fuse_linear_codes(Editor& editor, const ShapeAnalysis& known, std::int32_t n) {
  const Node node = editor.node(n);
  const auto x = dequantized_codes(editor, node.in(0));
  if (!x) return;
  if (node.is("MatMul")) {
    if (const auto b = dequantized_codes(editor, node.in(1));
        b && editor.graph().constant(b->codes) == nullptr) {
      // The columns of the product must be the last axis of its result.
      if (known.rank(node.in(0)) < 2 || known.rank(node.in(1)) < 2) return;
      if (!annotate(editor.graph(), x->codes, x->map) ||
          !annotate(editor.graph(), b->codes, b->map))
        return;
      Node q = intact_node(editor.graph(), "QMatMul", {x->codes, b->codes});
      q.name = node.name;
      editor.rewrite(n, std::move(q));
      return;
    }
  } else if (node.get_int("transA", 0) != 0 || node.get_float("alpha", 1) != 1 ||
             (node.in(2) != kNoValue && node.get_float("beta", 1) != 1)) {
    return;
  }
  const bool trans_b = node.op == "Gemm" && node.get_int("transB", 0) != 0;
  Quant w_map;
  const ValueId w = weight_codes(editor, node.in(1), trans_b ? 0 : 1, &w_map);
  if (w == kNoValue || editor.graph().constant(w)->rank() != 2) return;
  bool ok = true;
  const ValueId bias =
      node.op == "Gemm" ? bias_of(editor, node.in(2), x->map, w_map, &ok) : kNoValue;
  const std::int64_t channels = editor.graph().constant(w)->shape()[trans_b ? 0 : 1];
  const auto by_channel = [&](const Tensor& t) {  // A bias may also vary along the rows.
    return t.size() == channels && t.rank() > 0 && t.shape().back() == channels;
  };
  if (!ok || (bias != kNoValue && !by_channel(*editor.graph().constant(bias)))) return;
  if (!annotate(editor.graph(), x->codes, x->map)) return;
  Node q = intact_node(editor.graph(), "QLinear", {x->codes, w});
  if (trans_b) q.attributes["transB"] = std::int64_t{1};
  if (bias != kNoValue) q.inputs.push_back(bias);
  q.name = node.name;
  editor.rewrite(n, std::move(q));
}

void fuse_gather(Editor& editor, std::int32_t n) {
  const Node node = editor.node(n);
  if (node.get_int("axis", 0) != 0) return;
  Quant map;
  const ValueId table = weight_codes(editor, node.in(0), 0, &map);
  if (table == kNoValue || editor.graph().constant(table)->rank() < 1) return;
  Node q = intact_node(editor.graph(), "QGather", {table, node.in(1)});
  q.name = node.name;
  editor.rewrite(n, std::move(q));
}

void fuse_average(Editor& editor, const ShapeAnalysis& known, std::int32_t n) {
  const Node node = editor.node(n);
  if (known.rank(node.in(0)) < 3) return;
  const auto x = dequantized_codes(editor, node.in(0));
  if (!x || !editor.single_use(node.out(0))) return;
  const std::int32_t reader = editor.readers(node.out(0))[0];
  const Node q = editor.node(reader);
  const auto map = quantize_map(editor.graph(), q);
  if (!map || !annotate(editor.graph(), q.out(0), *map) ||
      !annotate(editor.graph(), x->codes, x->map))
    return;
  editor.graph().value(q.out(0)).type.layout = editor.graph().value(node.out(0)).type.layout;
  Node pool = intact_node(editor.graph(), "Q" + node.op, {x->codes});
  pool.name = node.name;
  pool.attributes = node.attributes;
  editor.rewrite(reader, std::move(pool));
}

}  // namespace

Status fuse_qdq(Graph& graph, PassContext&) {
  const ShapeAnalysis known(graph);
  Editor editor(graph);
  const std::int32_t count = editor.num_nodes();
  for (std::int32_t n = 0; n < count; ++n) {
    const Node& node = editor.node(n);
    if (node.is("Conv") || node.is("ConvTranspose"))
      fuse_conv(editor, known, n);
    else if (node.is("MatMul") || node.is("Gemm"))
      fuse_linear_codes(editor, known, n);
    else if (node.is("Gather"))
      fuse_gather(editor, n);
    else if (node.is("AveragePool") || node.is("GlobalAveragePool"))
      fuse_average(editor, known, n);
  }
  return editor.finish();
}

}  // namespace intact
