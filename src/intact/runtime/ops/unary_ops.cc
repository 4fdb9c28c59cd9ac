// unary_ops.cc: float functions of one value, as operators and inside epilogues.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "runtime/ops/extents.h"
#include "runtime/ops/tables.h"
#include "runtime/ops/unary.h"

namespace intact {
namespace {

struct Named {
  std::string_view op;
  UnaryOp kind;
  float alpha;  // The operator's defaults.
  float beta;
};

constexpr std::array kNamed{
    Named{"Relu", UnaryOp::kRelu, 0, 0},
    Named{"LeakyRelu", UnaryOp::kLeakyRelu, 0.01f, 0},
    Named{"Abs", UnaryOp::kAbs, 0, 0},
    Named{"Neg", UnaryOp::kNeg, 0, 0},
    Named{"Floor", UnaryOp::kFloor, 0, 0},
    Named{"Ceil", UnaryOp::kCeil, 0, 0},
    Named{"Round", UnaryOp::kRound, 0, 0},
    Named{"Sqrt", UnaryOp::kSqrt, 0, 0},
    Named{"Reciprocal", UnaryOp::kReciprocal, 0, 0},
    Named{"Sign", UnaryOp::kSign, 0, 0},
    Named{"Exp", UnaryOp::kExp, 0, 0},
    Named{"Log", UnaryOp::kLog, 0, 0},
    Named{"Erf", UnaryOp::kErf, 0, 0},
    Named{"Tanh", UnaryOp::kTanh, 0, 0},
    Named{"Sigmoid", UnaryOp::kSigmoid, 0, 0},
    Named{"Silu", UnaryOp::kSilu, 0, 0},
    Named{"Softplus", UnaryOp::kSoftplus, 0, 0},
    Named{"Elu", UnaryOp::kElu, 1.0f, 0},
    Named{"HardSigmoid", UnaryOp::kHardSigmoid, 0.2f, 0.5f},
    Named{"HardSwish", UnaryOp::kHardSwish, 0, 0},
    Named{"HardSwish6", UnaryOp::kHardSwish6, 0, 0},
    Named{"Sin", UnaryOp::kSin, 0, 0},
    Named{"Cos", UnaryOp::kCos, 0, 0},
};

void plan_function(OpContext& c, const UnaryF32& f, const ElementwiseF32Kernel& kernel) {
  const ElementCut cut = ElementCut::of(c);
  run_elements(c, cut, [f, &kernel](const StepArgs& args, const ElementPiece& part) {
    const std::int64_t begin = part.begin;
    kernel.unary(f, args.input<float>(0) + begin, args.output<float>(0) + begin, part.end - begin);
  });
}

Status plan_unary(OpContext& c) {
  const auto f = unary_of(c.node());
  INTACT_CHECK(f.has_value(), "'{}' is in the table but has no function", c.node().op);
  INTACT_TRY(c.require(0));
  const ValueInfo x = c.input(0);
  if (is_integer(x.dtype) &&
      (f->op == UnaryOp::kAbs || f->op == UnaryOp::kNeg || f->op == UnaryOp::kRelu)) {
    INTACT_TRY(c.output(0, x.dtype, x.shape, x.layout));
    const auto run = [&]<class T>(T) {
      c.run([op = f->op, n = x.size()](const StepArgs& args) {
        for (std::int64_t i = 0; i < n; ++i) {
          const T v = args.input<T>(0)[i];
          args.output<T>(0)[i] = op == UnaryOp::kRelu           ? std::max<T>(v, 0)
                                 : v < 0 || op == UnaryOp::kNeg ? static_cast<T>(T{0} - v)
                                                                : v;
        }
      });
      return Status{};
    };
    if (x.dtype == Dtype::kInt64) return run(std::int64_t{});
    if (x.dtype == Dtype::kInt32) return run(std::int32_t{});
  }
  INTACT_TRY(c.require(0, Dtype::kFloat32));
  INTACT_ASSIGN(const IsaLevel isa, host_isa());
  INTACT_TRY(c.output(0, x.dtype, x.shape, x.layout));
  plan_function(c, *f, select_kernel<ElementwiseF32Kernel>(isa));
  return {};
}

template <class T>
StepFn clip_integers(std::int64_t n, double lo, double hi) {
  const auto bound = [](double b) {
    return b >= static_cast<double>(std::numeric_limits<T>::max()) ? std::numeric_limits<T>::max()
           : b <= static_cast<double>(std::numeric_limits<T>::lowest())
               ? std::numeric_limits<T>::lowest()
               : static_cast<T>(b);
  };
  return [n, l = bound(lo), h = bound(hi)](const StepArgs& args) {
    for (std::int64_t i = 0; i < n; ++i)
      args.output<T>(0)[i] = std::min(h, std::max(l, args.input<T>(0)[i]));
  };
}

// Bounds are attributes before opset 11 and inputs since.
Status plan_clip(OpContext& c) {
  INTACT_TRY(c.require(0));
  const ValueInfo x = c.input(0);
  constexpr double kInf = std::numeric_limits<double>::infinity();
  double lo =
      static_cast<double>(c.node().get_float("min", -std::numeric_limits<float>::infinity()));
  double hi =
      static_cast<double>(c.node().get_float("max", std::numeric_limits<float>::infinity()));
  for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) {
    if (c.opset() < 11 || !c.has(i)) continue;
    INTACT_ASSIGN(const auto bound, c.reals(i));
    if (!bound.empty()) (i == 1 ? lo : hi) = bound[0];
  }
  if (lo == -kInf && hi == kInf) return c.view(0, 0, x.shape, x.layout);
  INTACT_TRY(c.output(0, x.dtype, x.shape, x.layout));
  switch (x.dtype) {
    case Dtype::kFloat32:
      break;
    case Dtype::kInt64:
      c.run(clip_integers<std::int64_t>(x.size(), lo, hi));
      return {};
    case Dtype::kInt32:
      c.run(clip_integers<std::int32_t>(x.size(), lo, hi));
      return {};
    case Dtype::kInt8:
      c.run(clip_integers<std::int8_t>(x.size(), lo, hi));
      return {};
    case Dtype::kUint8:
      c.run(clip_integers<std::uint8_t>(x.size(), lo, hi));
      return {};
    default:
      return c.require(0, Dtype::kFloat32);
  }
  INTACT_ASSIGN(const IsaLevel isa, host_isa());
  plan_function(c, {UnaryOp::kClip, static_cast<float>(lo), static_cast<float>(hi)},
                select_kernel<ElementwiseF32Kernel>(isa));
  return {};
}

constexpr OpRow kRows[] = {
    {"", "Clip", 6, plan_clip},
    {"", "Relu", 1, plan_unary},
    {"", "LeakyRelu", 1, plan_unary},
    {"", "Abs", 1, plan_unary},
    {"", "Neg", 1, plan_unary},
    {"", "Floor", 1, plan_unary},
    {"", "Ceil", 1, plan_unary},
    {"", "Round", 11, plan_unary},
    {"", "Sqrt", 1, plan_unary},
    {"", "Reciprocal", 1, plan_unary},
    {"", "Sign", 9, plan_unary},
    {"", "Exp", 1, plan_unary},
    {"", "Log", 1, plan_unary},
    {"", "Erf", 9, plan_unary},
    {"", "Tanh", 1, plan_unary},
    {"", "Sigmoid", 1, plan_unary},
    {"", "Softplus", 1, plan_unary},
    {"", "Elu", 1, plan_unary},
    {"", "HardSigmoid", 1, plan_unary},
    {"", "HardSwish", 14, plan_unary},
    {"", "Gelu", 20, plan_unary},
    {"", "Sin", 7, plan_unary},
    {"", "Cos", 7, plan_unary},
    {"intact", "Silu", 1, plan_unary},
    {"intact", "HardSwish", 1, plan_unary},
    {"intact", "HardSwish6", 1, plan_unary},
    {"intact", "HardSigmoid", 1, plan_unary},
    {"intact", "Gelu", 1, plan_unary},
};

}  // namespace

std::optional<UnaryF32> unary_by_name(std::string_view op, float alpha, float beta) {
  if (op == "Gelu") return UnaryF32{UnaryOp::kGelu, 0, 0};
  if (op == "GeluTanh") return UnaryF32{UnaryOp::kGeluTanh, 0, 0};
  if (op == "Clip") return UnaryF32{UnaryOp::kClip, alpha, beta};
  for (const Named& row : kNamed)
    if (row.op == op) return UnaryF32{row.kind, alpha, beta};
  return std::nullopt;
}

std::optional<UnaryF32> unary_of(const Node& node) {
  if (node.op == "Gelu")
    return unary_by_name(node.get_string("approximate", "none") == "tanh" ? "GeluTanh" : "Gelu", 0,
                         0);
  for (const Named& row : kNamed)
    if (row.op == node.op)
      return UnaryF32{row.kind, node.get_float("alpha", row.alpha),
                      node.get_float("beta", row.beta)};
  return std::nullopt;
}

std::span<const OpRow> unary_ops() { return kRows; }

}  // namespace intact
