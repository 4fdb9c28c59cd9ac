// A chain that is a function of one tensor of codes, as a table of its 256 values.

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/round.h"
#include "kernels/double_math.h"
#include "runtime/ops/chain_ways.h"
#include "runtime/ops/extents.h"

namespace intact {
namespace {

// The functions of chain.h, in double.
double evaluate(const UnaryF32& f, double x) {
  const auto alpha = static_cast<double>(f.alpha), beta = static_cast<double>(f.beta);
  switch (f.op) {
    case UnaryOp::kRelu:
      return x > 0 ? x : 0;
    case UnaryOp::kClip:
      return std::min(std::max(x, alpha), beta);
    case UnaryOp::kLeakyRelu:
      return x >= 0 ? x : alpha * x;
    case UnaryOp::kAbs:
      return std::fabs(x);
    case UnaryOp::kNeg:
      return -x;
    case UnaryOp::kFloor:
      return std::floor(x);
    case UnaryOp::kCeil:
      return std::ceil(x);
    case UnaryOp::kRound:
      return round_half_even(x);
    case UnaryOp::kSqrt:
      return std::sqrt(x);
    case UnaryOp::kReciprocal:
      return 1 / x;
    case UnaryOp::kSign:
      return x > 0 ? 1 : x < 0 ? -1 : 0;
    case UnaryOp::kExp:
      return dmath::exp(x);
    case UnaryOp::kLog:
      return dmath::log(x);
    case UnaryOp::kErf:
      return dmath::erf(x);
    case UnaryOp::kTanh:
      return dmath::tanh(x);
    case UnaryOp::kSigmoid:
      return dmath::sigmoid(x);
    case UnaryOp::kSilu:
      return x * dmath::sigmoid(x);
    case UnaryOp::kGelu:
      return 0.5 * x * (1 + dmath::erf(x * 0.70710678118654752440));
    case UnaryOp::kGeluTanh:
      return 0.5 * x * (1 + dmath::tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    case UnaryOp::kSoftplus:
      return x > 0 ? x + dmath::log1p(dmath::exp(-x)) : dmath::log1p(dmath::exp(x));
    case UnaryOp::kElu:
      return x > 0 ? x : alpha * dmath::expm1(x);
    case UnaryOp::kHardSigmoid:
      return std::min(std::max(alpha * x + beta, 0.0), 1.0);
    case UnaryOp::kHardSwish:
    case UnaryOp::kHardSwish6:
      return x * std::min(std::max(x / 6 + 0.5, 0.0), 1.0);
    case UnaryOp::kSin:
      return dmath::sin(x);
    case UnaryOp::kCos:
      return dmath::cos(x);
  }
  return x;
}

double combine(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::kAdd:
      return a + b;
    case BinaryOp::kSub:
      return a - b;
    case BinaryOp::kMul:
      return a * b;
    case BinaryOp::kDiv:
      return a / b;
    case BinaryOp::kMin:
      return std::min(a, b);
    case BinaryOp::kMax:
      return std::max(a, b);
    default:
      return a;
  }
}

// The value of a constant scalar operand; nothing when the operand is anything else.
std::optional<double> scalar_operand(const OpContext& c, const Chain::Op& op) {
  const ValueInfo& info = c.input(static_cast<std::size_t>(op.input));
  if (info.constant == nullptr || info.size() != 1) return std::nullopt;
  const double x = to_float64(*info.constant)[0];
  return op.codes ? op.map.scale * (x - op.map.zero) : x;
}

}  // namespace

bool plan_table(OpContext& c, const Chain& chain, const TensorMap& x, const TensorMap& y) {
  std::vector<double> values(256);
  for (std::size_t q = 0; q < 256; ++q) values[q] = x.scale * (static_cast<double>(q) - x.zero);
  for (const Chain::Op& op : chain.ops()) {
    std::optional<double> operand;
    if (!op.is_unary && !(operand = scalar_operand(c, op))) return false;
    for (double& v : values)
      v = op.is_unary   ? evaluate(op.unary, v)
          : op.reversed ? combine(op.binary, *operand, v)
                        : combine(op.binary, v, *operand);
  }
  const ElementCut cut = ElementCut::of(c);
  run_elements(c, cut,
               [&kernel = chain.codes_kernel(), table = encode_all(values, y)](
                   const StepArgs& args, const ElementPiece& part) {
                 kernel.lut(args.input<std::uint8_t>(0) + part.begin,
                            args.output<std::uint8_t>(0) + part.begin, part.end - part.begin,
                            table.data());
               });
  return true;
}

}  // namespace intact
