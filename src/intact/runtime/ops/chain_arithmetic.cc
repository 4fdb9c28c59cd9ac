// A chain of sums and products whose operands meet whole rows: one pass from x to the result.

#include <numeric>

#include "base/align.h"
#include "kernels/exact_inverse.h"
#include "runtime/ops/chain_ways.h"
#include "runtime/ops/extents.h"

namespace intact {
namespace {

// What CodesU8Kernel::arithmetic calls the operators of a chain; empty when it has others.
std::vector<ArithmeticStep::Op> arithmetic_of(const Chain& chain) {
  using Op = ArithmeticStep::Op;
  std::vector<Op> found;
  for (const Chain::Op& op : chain.ops()) {
    if (op.is_unary) return {};
    switch (op.binary) {
      case BinaryOp::kAdd:
        found.push_back(Op::kAdd);
        break;
      case BinaryOp::kSub:
        found.push_back(op.reversed ? Op::kRSub : Op::kSub);
        break;
      case BinaryOp::kMul:
        found.push_back(Op::kMul);
        break;
      case BinaryOp::kDiv:
        found.push_back(op.reversed ? Op::kRDiv : Op::kDiv);
        break;
      default:
        return {};
    }
  }
  return found;
}

// Rows that the kernel works on side by side, as one: together they are whole runs of 64.
std::int64_t rows_side_by_side(std::int64_t cols) {
  constexpr std::int64_t kRun = 64, kWidest = 2048;
  const std::int64_t side = kRun / std::gcd(kRun, cols);
  return side * cols <= kWidest ? side : 1;
}

ArithmeticOperand operand_at(const StepArgs& args, std::size_t input, const OptionalMap& map,
                             std::int64_t at) {
  ArithmeticOperand o;
  if (map) {
    o.codes = args.input<std::uint8_t>(input) + at;
    o.scale = static_cast<float>(map->scale);
    o.zero = map->zero;
  } else {
    o.reals = args.input<float>(input) + at;
  }
  return o;
}

}  // namespace

bool plan_arithmetic(OpContext& c, const Chain& chain, const OptionalMap& x, const OptionalMap& y) {
  const std::vector<ArithmeticStep::Op> steps = arithmetic_of(chain);
  if (steps.empty()) return false;
  const std::int64_t cols = std::max<std::int64_t>(1, c.outputs_[0].memory_shape().back());
  const std::int64_t side = rows_side_by_side(cols);
  const ElementCut cut = ElementCut::of(c);
  // An operand with a value a column is repeated for the rows side by side.
  const std::int64_t repeated = side > 1 ? side * cols : 0;
  const std::size_t scratch =
      align_up(static_cast<std::size_t>(repeated) * sizeof(float) * steps.size());
  c.scratch(scratch * static_cast<std::size_t>(c.threads()));
  const float inverse = y ? exact_inverse(static_cast<float>(y->scale)) : 0.0f;
  run_elements(c, cut, [=](const StepArgs& args, const ElementPiece& part) {
    auto* own = reinterpret_cast<float*>(args.scratch + ThreadPool::worker() * scratch);
    const auto run = [&](const Rectangle& r, std::int64_t abreast) {
      if (r.rows == 0) return;
      const std::int64_t at = r.row * cols + r.col;
      ArithmeticArgs g;
      g.rows = r.rows / abreast;
      g.cols = abreast * r.cols;
      g.x = operand_at(args, 0, x, at);
      g.x.row = g.cols;
      std::vector<ArithmeticStep> made;
      for (std::size_t i = 0; i < steps.size(); ++i) {
        const Chain::Op& op = chain.ops()[i];
        const bool same = op.operand == Chain::Layout::kSame;
        ArithmeticOperand b =
            operand_at(args, static_cast<std::size_t>(op.input),
                       op.codes ? std::optional(op.map) : std::nullopt,
                       same                                     ? at
                       : op.operand == Chain::Layout::kPerImage ? part.image * cols + r.col
                       : op.operand == Chain::Layout::kScalar   ? 0
                                                                : r.col);
        b.row = same ? g.cols : 0;
        b.one = op.operand == Chain::Layout::kScalar;
        if (abreast > 1 && !same && !b.one) {
          float* values = own + static_cast<std::int64_t>(i) * repeated;
          chain.codes_kernel().arithmetic({.rows = abreast, .cols = cols, .x = b, .reals = values});
          b = {.reals = values};
        }
        made.push_back({steps[i], b});
      }
      g.steps = made.data();
      g.count = static_cast<std::int64_t>(made.size());
      if (y) {
        g.codes = args.output<std::uint8_t>(0) + at;
        g.scale = static_cast<float>(y->scale);
        g.inverse = inverse;
        g.zero = y->zero;
      } else {
        g.reals = args.output<float>(0) + at;
      }
      chain.codes_kernel().arithmetic(g);
    };
    visit_rectangles(part.begin, part.end, cols, [&](const Rectangle& r) {
      const std::int64_t whole = r.cols == cols ? r.rows / side * side : 0;
      run({r.row, whole, r.col, r.cols}, side);
      run({r.row + whole, r.rows - whole, r.col, r.cols}, 1);
    });
  });
  return true;
}

}  // namespace intact
