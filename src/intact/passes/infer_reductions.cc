// Shape rules of reductions and products.
#include <algorithm>

#include "passes/shape_rules.h"

namespace intact {
namespace {

void reduce(RuleContext& c) {
  const auto& s = c.in(0).shape;
  bool given = false;
  const auto axes = c.list("axes", 1, given);
  if (!s) return c.set(0, c.in(0).dtype);
  const bool keep = c.node.get_int("keepdims", 1) != 0;
  if (!axes) {
    if (keep) return c.set(0, c.in(0).dtype, c.fresh(s->size()));
    return c.set(0, c.in(0).dtype);
  }
  const bool none = axes->empty() && c.node.get_int("noop_with_empty_axes", 0) != 0;
  std::vector<bool> gone(s->size(), axes->empty() && !none);
  for (const auto axis : *axes) {
    const auto a = normalize_axis(axis, s->size());
    if (!a) return c.set(0, c.in(0).dtype);
    gone[static_cast<std::size_t>(*a)] = true;
  }
  Dims out;
  for (std::size_t i = 0; i < s->size(); ++i) {
    if (!gone[i])
      out.push_back((*s)[i]);
    else if (keep)
      out.emplace_back(1);
  }
  c.set(0, c.in(0).dtype, std::move(out));
}

void arg_reduce(RuleContext& c) {
  const auto& s = c.in(0).shape;
  if (!s) return c.set(0, Dtype::kInt64);
  const auto axis = normalize_axis(c.node.get_int("axis", 0), s->size());
  if (!axis) return c.set(0, Dtype::kInt64);
  Dims out = *s;
  if (c.node.get_int("keepdims", 1) != 0)
    out[static_cast<std::size_t>(*axis)] = Dim(1);
  else
    out.erase(out.begin() + *axis);
  c.set(0, Dtype::kInt64, std::move(out));
}

void top_k(RuleContext& c) {
  std::optional<Dims> s = c.in(0).shape;
  if (s) {
    const auto axis = normalize_axis(c.node.get_int("axis", -1), s->size());
    if (!axis) return;
    const auto& k = c.in(1).content;
    Dim& d = (*s)[static_cast<std::size_t>(*axis)];
    d = k && k->size() == 1 && !may_be_negative((*k)[0]) ? (*k)[0] : c.fresh();
  }
  c.set(1, Dtype::kInt64, s);
  c.set(0, c.in(0).dtype, std::move(s));
}

void non_zero(RuleContext& c) {
  const auto& s = c.in(0).shape;
  Dims out = c.fresh(2);
  if (s) out[0] = static_cast<std::int64_t>(std::max<std::size_t>(1, s->size()));
  c.set(0, Dtype::kInt64, std::move(out));
}

void matmul(RuleContext& c) {
  Dtype dtype = c.in(0).dtype;
  if (c.node.op == "MatMulInteger") dtype = Dtype::kInt32;
  const auto& a = c.in(0).shape;
  const auto& b = c.in(1).shape;
  if (!a || !b || a->empty() || b->empty()) return c.set(0, dtype);
  const bool row = a->size() == 1;  // A vector is a row on the left, a column on the right.
  const bool column = b->size() == 1;
  const Dims batch_a(a->begin(), a->end() - (row ? 1 : 2));
  const Dims batch_b(b->begin(), b->end() - (column ? 1 : 2));
  Dims out = *broadcast_dims(c, batch_a, batch_b);
  if (!row) out.push_back((*a)[a->size() - 2]);
  // The weights [N, K] of an intact.QLinear that was a Gemm.
  const bool turned = c.node.get_int("transB", 0) != 0;
  if (!column) out.push_back(turned ? (*b)[b->size() - 2] : b->back());
  c.set(0, dtype, std::move(out));
}

void gemm(RuleContext& c) {
  const auto& a = c.in(0).shape;
  const auto& b = c.in(1).shape;
  Dims out = c.fresh(2);
  if (a && a->size() == 2) out[0] = (*a)[c.node.get_int("transA", 0) != 0 ? 1 : 0];
  if (b && b->size() == 2) out[1] = (*b)[c.node.get_int("transB", 0) != 0 ? 0 : 1];
  c.set(0, c.in(0).dtype, std::move(out));
}

constexpr NamedRule kRules[] = {
    {"ArgMax", arg_reduce},   {"ArgMin", arg_reduce},      {"Gemm", gemm},
    {"Linear", matmul},       {"MatMul", matmul},          {"MatMulInteger", matmul},
    {"NonZero", non_zero},    {"ReduceL1", reduce},        {"ReduceL2", reduce},
    {"ReduceLogSum", reduce}, {"ReduceLogSumExp", reduce}, {"ReduceMax", reduce},
    {"ReduceMean", reduce},   {"ReduceMin", reduce},       {"ReduceProd", reduce},
    {"ReduceSum", reduce},    {"ReduceSumSquare", reduce}, {"TopK", top_k},
};

}  // namespace

ShapeRule find_reduction_rule(std::string_view op) { return find_in(kRules, op); }

}  // namespace intact
