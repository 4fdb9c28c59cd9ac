// chain_ops.cc: intact.Chain(x, operands...): a chain with no product before it (chain.h).
//
// Four ways, by what the node is:
//   a function of one tensor of codes that leaves codes: a table of 256 entries, evaluated in
//   double and rounded once, so it is exact; the sum or product of two tensors of codes that leaves
//   codes: integer kernels; sums and products that meet whole rows: one pass in registers; anything
//   else: blocks of rows, or pieces of them, in float.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "base/align.h"
#include "base/round.h"
#include "kernels/double_math.h"
#include "kernels/exact_inverse.h"
#include "runtime/ops/broadcast.h"
#include "runtime/ops/chain.h"
#include "runtime/ops/cut.h"
#include "runtime/ops/tables.h"

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

std::optional<std::vector<std::uint8_t>> make_table(const OpContext& c, const Chain& chain,
                                                    const TensorMap& x, const TensorMap& y) {
  std::vector<double> values(256);
  for (std::size_t q = 0; q < 256; ++q) values[q] = x.scale * (static_cast<double>(q) - x.zero);
  for (const Chain::Op& op : chain.ops()) {
    std::optional<double> operand;
    if (!op.is_unary && !(operand = scalar_operand(c, op))) return std::nullopt;
    for (double& v : values)
      v = op.is_unary   ? evaluate(op.unary, v)
          : op.reversed ? combine(op.binary, *operand, v)
                        : combine(op.binary, v, *operand);
  }
  return encode_all(values, y);
}

void run_table(const CodesU8Kernel& kernel, const std::vector<std::uint8_t>& table, std::int64_t n,
               const StepArgs& args) {
  constexpr std::int64_t kChunk = 65536;
  args.pool.run(static_cast<std::size_t>((n + kChunk - 1) / kChunk), [&](std::size_t task) {
    const auto begin = static_cast<std::int64_t>(task) * kChunk;
    kernel.lut(args.input<std::uint8_t>(0) + begin, args.output<std::uint8_t>(0) + begin,
               std::min(kChunk, n - begin), table.data());
  });
}

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
  c.run([=, input = static_cast<std::size_t>(op.input)](const StepArgs& args) {
    loops.run(args.pool, [&](std::int64_t at, const std::array<std::int64_t, 2>& from,
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
      for (std::int64_t i = 0; i < count; ++i, g.a += stride[0], g.b += stride[1], ++g.y) run(g);
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

// Blocks of rows stay in the first-level cache from x to the result.
void plan_rows(OpContext& c, Chain chain, const std::optional<TensorMap>& x_map,
               const std::optional<TensorMap>& y_map) {
  const ValueInfo& y = c.outputs_[0];
  constexpr std::int64_t kBlock = 4096;
  const std::int64_t cols = y.memory_shape().back();
  const std::int64_t images = y.layout == Layout::kChannelsLast ? y.shape[0] : 1;
  const std::int64_t rows = cols == 0 || images == 0 ? 0 : y.size() / cols / images;
  const std::int64_t width = std::min(cols, kBlock);
  const std::int64_t height = std::max<std::int64_t>(1, width == 0 ? 1 : kBlock / width);
  const std::int64_t blocks_a_task = 4;
  const float inverse = y_map ? exact_inverse(static_cast<float>(y_map->scale)) : 0.0f;
  const int factor = y_map ? chain.take_factor() : -1;
  const bool reads_in_place = y_map && !x_map && chain.empty() && width == cols;
  const std::int64_t tasks = (rows + height * blocks_a_task - 1) / (height * blocks_a_task);
  c.run([=](const StepArgs& args) {
    args.pool.run(static_cast<std::size_t>(images * tasks), [&](std::size_t t) {
      alignas(64) std::array<float, kBlock> block;
      const std::int64_t image = static_cast<std::int64_t>(t) / tasks;
      const std::int64_t begin = static_cast<std::int64_t>(t) % tasks * height * blocks_a_task;
      const std::int64_t end = std::min(rows, begin + height * blocks_a_task);
      for (std::int64_t row = begin; row < end; row += height)
        for (std::int64_t at = 0; at < cols; at += width) {
          ChainPiece piece;
          piece.x = block.data();
          piece.rows = std::min(height, end - row);
          piece.cols = piece.x_stride = std::min(width, cols - at);
          piece.offset = (image * rows + row) * cols + at;
          piece.offset_stride = cols;
          piece.image = image;
          piece.channel = at;
          const float* reals = block.data();
          if (reads_in_place) {
            reals = args.input<float>(0) + piece.offset;
          } else {
            chain.load(piece, args, x_map);
            chain.run(piece, args);
          }
          if (y_map)
            Chain::store_codes(
                chain.codes_kernel(), *y_map, reals, piece.cols, piece.rows, piece.cols,
                args.output<std::uint8_t>(0) + piece.offset, cols, inverse,
                factor < 0 ? nullptr : args.input<float>(static_cast<std::size_t>(factor)) + at);
          else
            for (std::int64_t r = 0; r < piece.rows; ++r)
              std::copy_n(block.data() + r * piece.cols, piece.cols,
                          args.output<float>(0) + piece.offset + r * cols);
        }
    });
  });
}

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

// Sums and products: one pass from x to the result.
void plan_arithmetic(OpContext& c, const Chain& chain, std::vector<ArithmeticStep::Op> steps,
                     const std::optional<TensorMap>& x_map, const std::optional<TensorMap>& y_map) {
  const ValueInfo& y = c.outputs_[0];
  const std::int64_t cols = y.memory_shape().back();
  const std::int64_t images = y.layout == Layout::kChannelsLast ? y.shape[0] : 1;
  const std::int64_t rows = cols == 0 || images == 0 ? 0 : y.size() / cols / images;
  const std::int64_t side = rows_side_by_side(std::max<std::int64_t>(1, cols));
  constexpr std::int64_t kTaskElements = 16384;
  const std::int64_t unit = side * std::max<std::int64_t>(1, kTaskElements / (side * cols + 1));
  const std::int64_t row_tasks = (rows + unit - 1) / unit;
  // Long rows are cut.
  const Cut pieces = Cut::of(cols, unit == 1 ? (cols + kTaskElements - 1) / kTaskElements : 1);
  const std::int64_t tasks = row_tasks * pieces.parts;
  // An operand with a value a column is repeated for the rows side by side.
  const std::int64_t repeated = side > 1 ? side * cols : 0;
  const std::size_t scratch =
      align_up(static_cast<std::size_t>(repeated) * sizeof(float) * steps.size());
  c.scratch(scratch * static_cast<std::size_t>(c.threads()));
  const float inverse = y_map ? exact_inverse(static_cast<float>(y_map->scale)) : 0.0f;
  c.run([=](const StepArgs& args) {
    args.pool.run(static_cast<std::size_t>(images * tasks), [&](std::size_t t) {
      const std::int64_t image = static_cast<std::int64_t>(t) / tasks;
      const std::int64_t task = static_cast<std::int64_t>(t) % tasks;
      const std::int64_t begin = task / pieces.parts * unit;
      const std::int64_t end = std::min(rows, begin + unit);
      const std::int64_t col = pieces.begin(task % pieces.parts);
      const std::int64_t width = pieces.end(task % pieces.parts) - col;
      auto* own = reinterpret_cast<float*>(args.scratch + ThreadPool::worker() * scratch);
      const auto run = [&](std::int64_t first, std::int64_t count, std::int64_t abreast) {
        if (count == 0) return;
        const std::int64_t at = (image * rows + first) * cols + col;
        const auto read = [&](std::size_t input, const std::optional<TensorMap>& map,
                              std::int64_t from) {
          ArithmeticOperand o;
          if (map) {
            o.codes = args.input<std::uint8_t>(input) + from;
            o.scale = static_cast<float>(map->scale);
            o.zero = map->zero;
          } else {
            o.reals = args.input<float>(input) + from;
          }
          return o;
        };
        ArithmeticArgs g;
        g.rows = count / abreast;
        g.cols = abreast * width;
        g.x = read(0, x_map, at);
        g.x.row = g.cols;
        std::vector<ArithmeticStep> made;
        for (std::size_t i = 0; i < steps.size(); ++i) {
          const Chain::Op& op = chain.ops()[i];
          const bool same = op.operand == Chain::Layout::kSame;
          ArithmeticOperand b = read(static_cast<std::size_t>(op.input),
                                     op.codes ? std::optional(op.map) : std::nullopt,
                                     same                                     ? at
                                     : op.operand == Chain::Layout::kPerImage ? image * cols + col
                                     : op.operand == Chain::Layout::kScalar   ? 0
                                                                              : col);
          b.row = same ? g.cols : 0;
          b.one = op.operand == Chain::Layout::kScalar;
          if (abreast > 1 && !same && !b.one) {
            float* values = own + static_cast<std::int64_t>(i) * repeated;
            chain.codes_kernel().arithmetic(
                {.rows = abreast, .cols = cols, .x = b, .reals = values});
            b = {.reals = values};
          }
          made.push_back({steps[i], b});
        }
        g.steps = made.data();
        g.count = static_cast<std::int64_t>(made.size());
        if (y_map) {
          g.codes = args.output<std::uint8_t>(0) + at;
          g.scale = static_cast<float>(y_map->scale);
          g.inverse = inverse;
          g.zero = y_map->zero;
        } else {
          g.reals = args.output<float>(0) + at;
        }
        chain.codes_kernel().arithmetic(g);
      };
      const std::int64_t whole = (end - begin) / side * side;
      run(begin, whole, side);
      run(begin + whole, end - begin - whole, 1);
    });
  });
}

// One operand of the float way: where it is for each axis of the output's memory.
struct Walker {
  std::vector<std::int64_t> strides;  // By merged axis.
  std::size_t input = 0;
  bool codes = false;
  TensorMap map;
};

class PieceLoop {
 public:
  PieceLoop(const ValueInfo& out, const OpContext& c,
            std::vector<std::pair<std::size_t, std::optional<TensorMap>>> inputs) {
    const Shape sizes = out.memory_shape();
    std::vector<std::vector<std::int64_t>> strides;
    for (const auto& [input, map] : inputs) {
      const ValueInfo& info = c.input(input);
      const auto own = info.strides();
      std::vector<std::int64_t> s(out.rank(), 0);
      const std::size_t lead = out.rank() - info.rank();
      for (std::size_t axis = lead; axis < out.rank(); ++axis)
        if (info.shape[axis - lead] != 1)
          s[static_cast<std::size_t>(out.memory_axis(static_cast<int>(axis)))] = own[axis - lead];
      strides.push_back(std::move(s));
      walkers_.push_back({{}, input, map.has_value(), map.value_or(TensorMap{})});
    }
    for (std::size_t d = 0; d < sizes.size(); ++d) {
      if (sizes[d] == 0) rows_ = 0;
      if (sizes[d] == 1) continue;
      bool merge = !sizes_.empty();
      for (std::size_t k = 0; merge && k < walkers_.size(); ++k)
        merge = walkers_[k].strides.back() == strides[k][d] * sizes[d];
      if (merge)
        sizes_.back() *= sizes[d];
      else
        sizes_.push_back(sizes[d]);
      for (std::size_t k = 0; k < walkers_.size(); ++k) {
        if (merge)
          walkers_[k].strides.back() = strides[k][d];
        else
          walkers_[k].strides.push_back(strides[k][d]);
      }
    }
    if (sizes_.empty()) {
      sizes_ = {1};
      for (Walker& w : walkers_) w.strides = {1};
    }
    for (std::size_t d = 0; d + 1 < sizes_.size(); ++d) rows_ *= sizes_[d];
  }

  // Calls piece(at, offsets, count) for pieces of at most `limit` elements; offsets[k] is walker
  // k's first element, its step is step(k).
  template <class Piece>
  void run(ThreadPool& pool, std::int64_t limit, const Piece& piece) const {
    const std::int64_t inner = sizes_.back();
    const std::int64_t pieces = (inner + limit - 1) / limit;
    const std::int64_t units = rows_ * pieces;
    const std::int64_t a_task = std::max<std::int64_t>(1, 8192 / std::min(limit, inner));
    pool.run(static_cast<std::size_t>((units + a_task - 1) / a_task), [&](std::size_t task) {
      std::vector<std::int64_t> at(walkers_.size());
      for (std::int64_t u = static_cast<std::int64_t>(task) * a_task;
           u < std::min(units, (static_cast<std::int64_t>(task) + 1) * a_task); ++u) {
        const std::int64_t begin = u % pieces * limit;
        std::int64_t rest = u / pieces;
        const std::int64_t row = rest;
        for (std::size_t k = 0; k < at.size(); ++k) at[k] = begin * walkers_[k].strides.back();
        for (std::size_t d = sizes_.size() - 1; d-- > 0;) {
          for (std::size_t k = 0; k < at.size(); ++k)
            at[k] += rest % sizes_[d] * walkers_[k].strides[d];
          rest /= sizes_[d];
        }
        piece(row * inner + begin, at, std::min(limit, inner - begin));
      }
    });
  }

  [[nodiscard]] const std::vector<Walker>& walkers() const { return walkers_; }

  // Reads `count` elements of walker k from element `at` as reals into `to`.
  void load(std::size_t k, const StepArgs& args, std::int64_t at, std::int64_t count,
            const CodesU8Kernel& kernel, float* to) const {
    const Walker& w = walkers_[k];
    const std::int64_t step = w.strides.back();
    const auto scale = static_cast<float>(w.map.scale);
    const QuantParams map{&scale, &w.map.zero, false, 0, 255};
    if (w.codes) {
      const std::uint8_t* q = args.input<std::uint8_t>(w.input) + at;
      if (step == 1) return kernel.dequantize(q, 1, count, map, to);
      for (std::int64_t i = 0; i < count; ++i) kernel.dequantize(q + i * step, 1, 1, map, to + i);
      return;
    }
    const float* x = args.input<float>(w.input) + at;
    if (step == 1)
      std::copy_n(x, count, to);
    else
      for (std::int64_t i = 0; i < count; ++i) to[i] = x[i * step];
  }

 private:
  std::vector<std::int64_t> sizes_;
  std::vector<Walker> walkers_;
  std::int64_t rows_ = 1;
};

}  // namespace

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
  const CodesU8Kernel& kernel = *chain.codes_;
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
  if (codes_in && codes_out && shape == x.shape && x.layout == y.layout) {
    if (auto table = make_table(c, chain, *x_map, *y_map)) {
      c.run([&kernel, t = std::move(*table), n = y.size()](const StepArgs& args) {
        run_table(kernel, t, n, args);
      });
      return {};
    }
  }
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
      plan_codes_pair(c, ops[0], clamp, *x_map, *y_map, kernel);
      return {};
    }
  }
  if (has_rows(x, y, chain)) {
    if (auto steps = arithmetic_of(chain); !steps.empty())
      plan_arithmetic(c, chain, std::move(steps), x_map, y_map);
    else
      plan_rows(c, chain, x_map, y_map);
    return {};
  }
  std::vector<std::pair<std::size_t, std::optional<TensorMap>>> inputs{{0, x_map}};
  std::vector<int> walker_of(ops.size(), -1);
  for (std::size_t i = 0; i < ops.size(); ++i) {
    if (ops[i].is_unary) continue;
    walker_of[i] = static_cast<int>(inputs.size());
    inputs.emplace_back(static_cast<std::size_t>(ops[i].input),
                        ops[i].codes ? std::optional(ops[i].map) : std::nullopt);
  }
  const float inverse = y_map ? exact_inverse(static_cast<float>(y_map->scale)) : 0.0f;
  const PieceLoop loop(y, c, std::move(inputs));
  c.run([=, &kernel, math = chain.math_](const StepArgs& args) {
    constexpr std::int64_t kLimit = 1024;
    loop.run(args.pool, kLimit,
             [&](std::int64_t at, const std::vector<std::int64_t>& from, std::int64_t count) {
               std::array<float, kLimit> v, operand;
               loop.load(0, args, from[0], count, kernel, v.data());
               for (std::size_t i = 0; i < ops.size(); ++i) {
                 if (ops[i].is_unary) {
                   math->unary(ops[i].unary, v.data(), v.data(), count);
                   continue;
                 }
                 const auto k = static_cast<std::size_t>(walker_of[i]);
                 const bool one = loop.walkers()[k].strides.back() == 0;
                 loop.load(k, args, from[k], one ? 1 : count, kernel, operand.data());
                 BinaryF32Args b;
                 b.op = ops[i].binary;
                 b.cols = count;
                 b.a = ops[i].reversed ? operand.data() : v.data();
                 b.b = ops[i].reversed ? v.data() : operand.data();
                 b.a_col = ops[i].reversed && one ? 0 : 1;
                 b.b_col = !ops[i].reversed && one ? 0 : 1;
                 b.y = v.data();
                 math->binary(b);
               }
               if (codes_out)
                 Chain::store_codes(kernel, *y_map, v.data(), count, 1, count,
                                    args.output<std::uint8_t>(0) + at, count, inverse);
               else
                 std::copy_n(v.data(), count, args.output<float>(0) + at);
             });
  });
  return {};
}

namespace {
constexpr OpRow kRows[] = {{"intact", "Chain", 1, plan_chain}};
}  // namespace

std::span<const OpRow> chain_ops() { return kRows; }

}  // namespace intact
