// chain_ops.cc: intact.Chain(x, operands...): a chain with no product before it (chain.h).
//
// Five ways, by what the node is (chain_ways.h): a table; here, the sum or product of two tensors
// of codes that leaves codes, by integer kernels; one pass in registers; blocks of rows in float;
// pieces of rows in float.

#include <algorithm>
#include <array>
#include <vector>

#include "runtime/ops/broadcast.h"
#include "runtime/ops/chain_ways.h"
#include "runtime/ops/extents.h"
#include "runtime/ops/tables.h"

namespace intact {
namespace {

// The sum or product of two tensors of codes.
void plan_codes_pair(OpContext& c, const Chain::Op& op, const RealClamp& clamp, const TensorMap& a,
                     const TensorMap& y, const CodesU8Kernel& kernel) {
  const Broadcast<2> loops(c.outputs_[0],
                           {&c.input(0), &c.input(static_cast<std::size_t>(op.input))});
  const bool product = op.binary == BinaryOp::kMul;
  BinaryU8Args base;
  base.rows = 1;
  base.za = a.zero;
  base.zb = op.map.zero;
  base.ra = static_cast<float>(product ? a.scale * op.map.scale / y.scale : a.scale / y.scale);
  base.rb = static_cast<float>(op.map.scale / y.scale);
  base.codes = {encode(clamp.lo, y), encode(clamp.hi, y), y.zero};
  const auto run = product ? kernel.mul : kernel.add;
  const ElementCut cut = ElementCut::of(c);
  run_elements(c, cut,
               [=, input = static_cast<std::size_t>(op.input)](const StepArgs& args,
                                                               const ElementPiece& part) {
                 loops.run(part.begin, part.end,
                           [&](std::int64_t at, const std::array<std::int64_t, 2>& from,
                               std::int64_t count, const std::array<std::int64_t, 2>& stride) {
                             BinaryU8Args g = base;
                             g.cols = count;
                             g.a = args.input<std::uint8_t>(0) + from[0];
                             g.b = args.input<std::uint8_t>(input) + from[1];
                             g.y = args.output<std::uint8_t>(0) + at;
                             if (stride[0] == 1 && stride[1] == 1) return run(g);
                             if (stride[0] == 1 && stride[1] == 0) {
                               g.b_kind = Operand::kScalar;
                               return run(g);
                             }
                             g.cols = 1;
                             for (std::int64_t i = 0; i < count;
                                  ++i, g.a += stride[0], g.b += stride[1], ++g.y)
                               run(g);
                           });
               });
}

// True when every operand meets whole rows of x, whose shape is the output's.
bool has_rows(const ValueInfo& x, const ValueInfo& y, const Chain& chain) {
  return y.rank() > 0 && x.shape == y.shape && x.layout == y.layout &&
         std::all_of(chain.ops().begin(), chain.ops().end(), [](const Chain::Op& op) {
           return op.is_unary || op.operand != Chain::Layout::kNone;
         });
}

Status plan_chain(OpContext& c) {
  INTACT_TRY(c.require(0));
  const ValueInfo x = c.input(0);
  Shape shape = x.shape;
  for (std::size_t i = 1; i < c.input_count(); ++i) {
    INTACT_TRY(c.require(i));
    INTACT_ASSIGN(shape, broadcast(shape, c.input(i).shape));
  }
  const bool codes_out = c.graph().value(c.node().outputs[0]).quant.has_value();
  INTACT_TRY(c.output(0, codes_out ? Dtype::kUint8 : Dtype::kFloat32, shape,
                      result_layout(c, shape.size())));
  const ValueInfo y = c.outputs_[0];
  INTACT_ASSIGN(const Chain chain, read_chain(c, y));
  const bool codes_in = x.quant != nullptr && x.dtype == Dtype::kUint8;
  std::optional<TensorMap> x_map, y_map;
  if (codes_in) {
    INTACT_ASSIGN(x_map, tensor_map(x, "the input"));
  } else {
    INTACT_TRY(c.require(0, Dtype::kFloat32));
  }
  if (codes_out) {
    INTACT_ASSIGN(y_map, tensor_map(y, "the output"));
  }
  if (codes_in && codes_out && shape == x.shape && x.layout == y.layout &&
      plan_table(c, chain, *x_map, *y_map))
    return {};
  const auto& ops = chain.ops();
  const bool pair = codes_in && codes_out && !ops.empty() && ops.size() <= 2 && !ops[0].is_unary &&
                    ops[0].codes &&
                    (ops[0].binary == BinaryOp::kAdd || ops[0].binary == BinaryOp::kMul);
  if (pair) {
    RealClamp clamp;
    bool fits = true;
    if (ops.size() == 2) {
      if (ops[1].is_unary && ops[1].unary.op == UnaryOp::kRelu)
        clamp.lo = 0;
      else if (ops[1].is_unary && ops[1].unary.op == UnaryOp::kClip)
        clamp = {ops[1].unary.alpha, ops[1].unary.beta};
      else
        fits = false;
    }
    if (fits) {
      plan_codes_pair(c, ops[0], clamp, *x_map, *y_map, chain.codes_kernel());
      return {};
    }
  }
  if (!has_rows(x, y, chain))
    plan_pieces(c, chain, x_map, y_map);
  else if (!plan_arithmetic(c, chain, x_map, y_map))
    plan_rows(c, chain, x_map, y_map);
  return {};
}

constexpr OpRow kRows[] = {{"intact", "Chain", 1, plan_chain}};

}  // namespace

std::span<const OpRow> chain_ops() { return kRows; }

}  // namespace intact
