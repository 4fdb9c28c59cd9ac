// Shape rules of the operators whose output has the broadcast shape of their inputs.
#include <algorithm>

#include "passes/shape_rules.h"

namespace intact {
namespace {

void like_first(RuleContext& c) {
  c.set(0, c.in(0).dtype, c.in(0).shape);
  if (c.node.is("Identity")) c.set_content(0, c.in(0).content);
}

void dropout(RuleContext& c) {
  like_first(c);
  c.set(1, Dtype::kBool, c.in(0).shape);
}

void bool_like_first(RuleContext& c) { c.set(0, Dtype::kBool, c.in(0).shape); }

std::optional<Dims> broadcast_all(RuleContext& c, std::size_t from) {
  std::optional<Dims> shape = c.in(from).shape;
  for (std::size_t i = from + 1; i < c.node.inputs.size(); ++i)
    shape = broadcast_dims(c, shape, c.in(i).shape);
  return shape;
}

// The content of integer arithmetic. Only what is exact: numbers, and the neutral elements.
Dim combine(RuleContext& c, const Dim& a, const Dim& b) {
  const std::string& op = c.node.op;
  const bool numbers = a.symbol.empty() && b.symbol.empty();
  constexpr std::int64_t kSafe = std::int64_t{1} << 31;
  const auto safe = [&](std::int64_t n) { return n > -kSafe && n < kSafe; };
  if (numbers && safe(a.size) && safe(b.size)) {
    Dim d;
    const std::int64_t x = a.size;
    const std::int64_t y = b.size;
    if (op == "Add")
      d.size = x + y;
    else if (op == "Sub")
      d.size = x - y;
    else if (op == "Mul")
      d.size = x * y;
    else if (op == "Div" && y != 0)
      d.size = x / y;
    else if (op == "Max")
      d.size = std::max(x, y);
    else if (op == "Min")
      d.size = std::min(x, y);
    else
      return c.fresh_number();
    return d;
  }
  const bool b_zero = b.symbol.empty() && b.size == 0;
  const bool b_one = b.symbol.empty() && b.size == 1;
  const bool a_zero = a.symbol.empty() && a.size == 0;
  const bool a_one = a.symbol.empty() && a.size == 1;
  if ((op == "Add" || op == "Sub") && b_zero) return a;
  if ((op == "Mul" || op == "Div") && b_one) return a;
  if (op == "Add" && a_zero) return b;
  if (op == "Mul" && a_one) return b;
  return c.fresh_number();
}

void arithmetic(RuleContext& c) {
  c.set(0, c.in(0).dtype != Dtype::kUndefined ? c.in(0).dtype : c.in(1).dtype, broadcast_all(c, 0));
  const auto& a = c.in(0).content;
  const auto& b = c.in(1).content;
  if (c.node.inputs.size() != 2 || !is_integer(c.in(0).dtype) || !a || !b) return;
  if (a->size() != b->size() && a->size() != 1 && b->size() != 1) return;
  const std::size_t size = a->empty() || b->empty() ? 0 : std::max(a->size(), b->size());
  Dims out(size);
  for (std::size_t i = 0; i < size; ++i)
    out[i] = combine(c, (*a)[a->size() == 1 ? 0 : i], (*b)[b->size() == 1 ? 0 : i]);
  c.set_content(0, std::move(out));
}

void comparison(RuleContext& c) { c.set(0, Dtype::kBool, broadcast_all(c, 0)); }

void where(RuleContext& c) {
  c.set(0, c.in(1).dtype != Dtype::kUndefined ? c.in(1).dtype : c.in(2).dtype, broadcast_all(c, 0));
}

void cast(RuleContext& c) {
  const auto to = static_cast<Dtype>(c.node.get_int("to", 0));
  c.set(0, to, c.in(0).shape);
  // A content stays what it is in any type that holds it.
  if (to == Dtype::kInt64 || to == Dtype::kInt32) c.set_content(0, c.in(0).content);
}

void cast_like(RuleContext& c) { c.set(0, c.in(1).dtype, c.in(0).shape); }

void quantize(RuleContext& c) {
  Dtype dtype = Dtype::kUint8;
  if (c.has_in(2))
    dtype = c.in(2).dtype;
  else if (c.node.has("output_dtype"))
    dtype = static_cast<Dtype>(c.node.get_int("output_dtype", 2));
  c.set(0, dtype, c.in(0).shape);
}

void dynamic_quantize(RuleContext& c) {
  c.set(0, Dtype::kUint8, c.in(0).shape);
  c.set(1, c.in(0).dtype, Dims{});
  c.set(2, Dtype::kUint8, Dims{});
}

void dequantize(RuleContext& c) { c.set(0, c.in(1).dtype, c.in(0).shape); }

constexpr NamedRule kRules[] = {
    {"Abs", like_first},
    {"Acos", like_first},
    {"Add", arithmetic},
    {"And", comparison},
    {"Asin", like_first},
    {"Atan", like_first},
    {"Cast", cast},
    {"CastLike", cast_like},
    {"Ceil", like_first},
    {"Celu", like_first},
    {"Clip", like_first},
    {"Cos", like_first},
    {"CumSum", like_first},
    {"DequantizeLinear", dequantize},
    {"Div", arithmetic},
    {"Dropout", dropout},
    {"DynamicQuantizeLinear", dynamic_quantize},
    {"Elu", like_first},
    {"Equal", comparison},
    {"Erf", like_first},
    {"Exp", like_first},
    {"Floor", like_first},
    {"Gelu", like_first},
    {"Greater", comparison},
    {"GreaterOrEqual", comparison},
    {"HardSigmoid", like_first},
    {"HardSwish", like_first},
    {"HardSwish6", like_first},
    {"Hardmax", like_first},
    {"Identity", like_first},
    {"IsInf", bool_like_first},
    {"IsNaN", bool_like_first},
    {"LRN", like_first},
    {"LayerNormalization", like_first},
    {"LeakyRelu", like_first},
    {"Less", comparison},
    {"LessOrEqual", comparison},
    {"Log", like_first},
    {"LogSoftmax", like_first},
    {"Max", arithmetic},
    {"Mean", arithmetic},
    {"Min", arithmetic},
    {"Mish", like_first},
    {"Mod", arithmetic},
    {"Mul", arithmetic},
    {"Neg", like_first},
    {"Not", like_first},
    {"Or", comparison},
    {"PRelu", like_first},
    {"Pow", arithmetic},
    {"QuantizeLinear", quantize},
    {"Reciprocal", like_first},
    {"Relu", like_first},
    {"Round", like_first},
    {"ScatterND", like_first},
    {"ScatterElements", like_first},
    {"Selu", like_first},
    {"Sigmoid", like_first},
    {"Sign", like_first},
    {"Silu", like_first},
    {"Sin", like_first},
    {"Softmax", like_first},
    {"Softplus", like_first},
    {"Softsign", like_first},
    {"Sqrt", like_first},
    {"Sub", arithmetic},
    {"Sum", arithmetic},
    {"Tan", like_first},
    {"Tanh", like_first},
    {"ThresholdedRelu", like_first},
    {"ToChannelsLast", like_first},
    {"ToPlain", like_first},
    {"Trilu", like_first},
    {"Where", where},
    {"Xor", comparison},
};

}  // namespace

ShapeRule find_elementwise_rule(std::string_view op) { return find_in(kRules, op); }

}  // namespace intact
