#include "passes/check_target.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace intact {
namespace {

class Checker {
 public:
  Checker(const Graph& graph, std::string_view target)
      : g_(graph), uses_(graph.uses()), tensorrt_(target == "tensorrt") {}

  std::vector<TargetViolation> run() {
    for (const Node& node : g_.nodes) {
      if (node.op == "QuantizeLinear") check_q(node);
      if (node.op == "DequantizeLinear") check_dq(node);
      if (node.op == "Conv" || node.op == "ConvTranspose" || node.op == "Gemm" ||
          node.op == "MatMul")
        check_product(node);
    }
    return std::move(found_);
  }

 private:
  void report(std::string rule, const Node& node, std::string what) {
    found_.push_back({std::move(rule), node.name.empty() ? g_.value(node.out(0)).name : node.name,
                      std::move(what)});
  }

  const Node* producer(ValueId v) const {
    if (v == kNoValue) return nullptr;
    const std::int32_t n = uses_.producer[static_cast<std::size_t>(v)];
    return n < 0 ? nullptr : &g_.nodes[static_cast<std::size_t>(n)];
  }
  const Node* dq(ValueId v) const {
    const Node* n = producer(v);
    return n != nullptr && n->op == "DequantizeLinear" ? n : nullptr;
  }
  bool all_zero(ValueId v) const {
    const Tensor* t = g_.constant(v);
    if (t == nullptr) return v == kNoValue;
    const auto zeros = to_int64(*t);
    return std::all_of(zeros.begin(), zeros.end(), [](std::int64_t z) { return z == 0; });
  }

  void check_q(const Node& q) {
    const Tensor* scale = g_.constant(q.in(1));
    const Tensor* zero = g_.constant(q.in(2));
    if (scale == nullptr || scale->size() != 1)
      report("A2", q, "an activation needs one constant scale");
    const Dtype wanted = tensorrt_ ? Dtype::kInt8 : Dtype::kUint8;
    const Dtype is = zero == nullptr ? Dtype::kUint8 : zero->dtype();
    if (is != wanted)
      report(tensorrt_ ? "T1" : "A2", q,
             fmt::format("activations are {}; this target takes {}", name_of(is), name_of(wanted)));
    if (tensorrt_ && !all_zero(q.in(2))) report("T1", q, "the zero point is not 0");
    for (const std::int32_t r : uses_.readers[static_cast<std::size_t>(q.out(0))])
      if (g_.nodes[static_cast<std::size_t>(r)].op != "DequantizeLinear")
        report("A1", q, "codes are read by something else than DequantizeLinear");
    // T3: a product, then an addition: no codes between them.
    const Node* made = producer(q.in(0));
    if (!tensorrt_ || made == nullptr || (made->op != "Conv" && made->op != "ConvTranspose"))
      return;
    for (const std::int32_t r : uses_.readers[static_cast<std::size_t>(q.out(0))]) {
      const Node& d = g_.nodes[static_cast<std::size_t>(r)];
      for (const std::int32_t reader : uses_.readers[static_cast<std::size_t>(d.out(0))])
        if (g_.nodes[static_cast<std::size_t>(reader)].op == "Add")
          report("T3", q, "codes between a convolution and the Add that follows");
    }
  }

  void check_dq(const Node& d) {
    const Tensor* scale = g_.constant(d.in(1));
    if (scale == nullptr) return report("A2", d, "the scale is not constant");
    if (scale->size() > 1 && g_.opset() < 13)
      report("A6", d, fmt::format("per-channel scales need opset 13; this is {}", g_.opset()));
    for (const double s : to_float64(*scale))
      if (!(s > 0) || !std::isfinite(s))
        return report("A2", d, "a scale is not positive and finite");
  }

  void check_product(const Node& node) {
    const Node* x = dq(node.in(0));
    const Node* w = dq(node.in(1));
    if (x == nullptr || w == nullptr) return;  // A float product has no rules.
    const Tensor* codes = g_.constant(w->in(0));
    if (codes == nullptr) return check_right_side(node, *w);
    if (codes->dtype() != Dtype::kInt8) {
      report("A3", node, fmt::format("weights are {}, not int8", name_of(codes->dtype())));
    } else {
      const auto q = codes->values<std::int8_t>();
      if (std::find(q.begin(), q.end(), std::int8_t{-128}) != q.end())
        report("A3", node, "a weight is -128");
    }
    if (!all_zero(w->in(2))) report("A3", node, "weights have a zero point");
    if (node.op != "MatMul" && node.in(2) != kNoValue) check_bias(node, *x, *w);
  }

  // A5: codes that only right sides read have the middle code as zero point.
  void check_right_side(const Node& node, const Node& w) {
    for (const std::int32_t r : uses_.readers[static_cast<std::size_t>(w.out(0))])
      if (const Node& reader = g_.nodes[static_cast<std::size_t>(r)];
          reader.op != "MatMul" || reader.in(1) != w.out(0) || reader.in(0) == w.out(0))
        return;
    const Tensor* zero = g_.constant(w.in(2));
    if (tensorrt_ || (zero != nullptr && to_int64(*zero)[0] == 128)) return;
    report("A5", node, "the zero point of the right side of a product of activations is not 128");
  }

  void check_bias(const Node& node, const Node& x, const Node& w) {
    const Node* b = dq(node.in(2));
    if (tensorrt_) {
      if (b != nullptr) report("T2", node, "the bias is quantized");
      return;
    }
    if (b == nullptr) return report("A4", node, "the bias is not int32");
    const Tensor* codes = g_.constant(b->in(0));
    if (codes == nullptr || codes->dtype() != Dtype::kInt32)
      return report("A4", node, "the bias is not int32");
    const Tensor* xs = g_.constant(x.in(1));
    const Tensor* ws = g_.constant(w.in(1));
    const Tensor* bs = g_.constant(b->in(1));
    if (xs == nullptr || ws == nullptr || bs == nullptr) return;  // A2 says so.
    const auto input = static_cast<double>(xs->values<float>()[0]);
    const auto weight = to_float64(*ws);
    const auto bias = to_float64(*bs);
    if (weight.size() != bias.size()) return report("A4", node, "the bias has other channels");
    for (std::size_t c = 0; c < bias.size(); ++c)
      if (std::abs(bias[c] - input * weight[c]) > 1e-6 * bias[c])
        return report("A4", node, "the bias scale is not input scale times weight scale");
  }

  const Graph& g_;
  Uses uses_;
  bool tensorrt_;
  std::vector<TargetViolation> found_;
};

}  // namespace

std::vector<TargetViolation> check_target(const Graph& graph, std::string_view target) {
  if (target != "any" && target != "tensorrt") return {};
  return Checker(graph, target).run();
}

}  // namespace intact
