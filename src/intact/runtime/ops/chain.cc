#include "runtime/ops/chain.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/round.h"
#include "runtime/ops/unary.h"

namespace intact {
namespace {

constexpr std::int64_t kPiece = 1024;  // Columns of operand codes that are reals at once.
constexpr std::int64_t kBlock = 4096;  // Elements between the operators and the codes.

struct BinaryName {
  std::string_view name;
  BinaryOp op;
  bool reversed;
};
constexpr std::array kBinary{
    BinaryName{"Add", BinaryOp::kAdd, false}, BinaryName{"Mul", BinaryOp::kMul, false},
    BinaryName{"Sub", BinaryOp::kSub, false}, BinaryName{"Div", BinaryOp::kDiv, false},
    BinaryName{"Min", BinaryOp::kMin, false}, BinaryName{"Max", BinaryOp::kMax, false},
    BinaryName{"RSub", BinaryOp::kSub, true}, BinaryName{"RDiv", BinaryOp::kDiv, true},
};

std::optional<RealClamp> clamp_of(const Chain::Op& op) {
  if (!op.is_unary) return std::nullopt;
  RealClamp clamp;
  if (op.unary.op == UnaryOp::kRelu)
    clamp.lo = 0;
  else if (op.unary.op == UnaryOp::kClip)
    clamp = {op.unary.alpha, op.unary.beta};
  else
    return std::nullopt;
  return clamp;
}

// How an operand lies against an output; kNone when it does not broadcast to it, or only in a way
// that rows cannot follow.
Chain::Layout layout_of(const ValueInfo& operand, const ValueInfo& out) {
  if (operand.size() == 1) return Chain::Layout::kScalar;
  if (operand.shape == out.shape && operand.layout == out.layout) return Chain::Layout::kSame;
  if (operand.rank() > out.rank()) return Chain::Layout::kNone;
  Shape full(out.rank() - operand.rank(), 1);
  full.insert(full.end(), operand.shape.begin(), operand.shape.end());
  const bool last = out.layout == Layout::kChannelsLast && out.rank() >= 3;
  const std::size_t channel = last ? 1 : out.rank() - 1;
  for (std::size_t axis = 0; axis < full.size(); ++axis)
    if (axis != channel && axis != 0 && full[axis] != 1) return Chain::Layout::kNone;
  if (full[channel] != out.shape[channel]) return Chain::Layout::kNone;
  if (channel == 0 || full[0] == 1) return Chain::Layout::kPerChannel;
  return full[0] == out.shape[0] && last ? Chain::Layout::kPerImage : Chain::Layout::kNone;
}

}  // namespace

Result<TensorMap> tensor_map(const ValueInfo& info, const char* what) {
  INTACT_CHECK(info.quant != nullptr && info.dtype == Dtype::kUint8,
               "{} of an integer node is {} without a map of its codes", what, name_of(info.dtype));
  if (info.quant->scale.size() != 1)
    return fail(ErrorCode::kUnsupported, fmt::format("{} has a scale per channel", what));
  return TensorMap{static_cast<double>(info.quant->scale[0]), info.quant->zero_point[0]};
}

std::int32_t encode(float x, const TensorMap& map) {
  const float ratio = x / static_cast<float>(map.scale);
  if (ratio != ratio) return map.zero;
  const float lo = static_cast<float>(-map.zero), hi = static_cast<float>(255 - map.zero);
  return static_cast<std::int32_t>(std::clamp(round_half_even(ratio), lo, hi)) + map.zero;
}

std::vector<std::uint8_t> encode_all(std::span<const double> reals, const TensorMap& map) {
  std::vector<std::uint8_t> codes;
  for (const double x : reals) {
    const double code = round_half_even(x / map.scale) + map.zero;
    codes.push_back(code != code ? static_cast<std::uint8_t>(map.zero)
                                 : static_cast<std::uint8_t>(std::clamp(code, 0.0, 255.0)));
  }
  return codes;
}

Result<Chain> read_chain(const OpContext& c, const ValueInfo& out) {
  const Node& node = c.node();
  Chain chain;
  INTACT_ASSIGN(const IsaLevel isa, host_isa());
  chain.math_ = &select_kernel<ElementwiseF32Kernel>(isa);
  chain.codes_ = &select_kernel<CodesU8Kernel>(isa);
  chain.channels_ = out.rank() == 0 ? 1 : out.memory_shape().back();
  const auto it = node.attributes.find("chain");
  if (it == node.attributes.end()) return chain;
  const auto& names = std::get<std::vector<std::string>>(it->second);
  const auto inputs = node.get_ints("chain_inputs");
  const auto alpha = node.get_floats("chain_alpha");
  const auto beta = node.get_floats("chain_beta");
  INTACT_CHECK(
      inputs.size() == names.size() && alpha.size() == names.size() && beta.size() == names.size(),
      "node '{}' has a ragged chain", node.name);
  for (std::size_t i = 0; i < names.size(); ++i) {
    Chain::Op op;
    op.name = names[i];
    op.input = static_cast<int>(inputs[i]);
    if (op.input < 0) {
      const auto f = unary_by_name(names[i], alpha[i], beta[i]);
      INTACT_CHECK(f.has_value(), "a chain names the function '{}'", names[i]);
      op.is_unary = true;
      op.unary = *f;
    } else {
      const auto* row = std::find_if(kBinary.begin(), kBinary.end(),
                                     [&](const auto& b) { return b.name == names[i]; });
      INTACT_CHECK(row != kBinary.end(), "a chain names the operator '{}'", names[i]);
      op.binary = row->op;
      op.reversed = row->reversed;
      const ValueInfo& operand = c.input(static_cast<std::size_t>(op.input));
      op.operand = layout_of(operand, out);
      op.codes = operand.quant != nullptr && operand.dtype == Dtype::kUint8;
      if (op.codes) {
        INTACT_ASSIGN(op.map, tensor_map(operand, "an operand"));
      } else {
        INTACT_TRY(c.require(static_cast<std::size_t>(op.input), Dtype::kFloat32));
      }
      // These two walk operands of any shape themselves.
      const bool walks = node.is("Chain", "intact") || node.is("Attention", "intact");
      if (op.operand == Chain::Layout::kNone && !walks)
        return fail(ErrorCode::kInvalidModel,
                    fmt::format("{} and {} do not broadcast", to_string(operand.shape),
                                to_string(out.shape)));
    }
    chain.ops_.push_back(std::move(op));
  }
  return chain;
}

bool Chain::has_operand_by_channel() const noexcept {
  return std::any_of(ops_.begin(), ops_.end(), [](const Op& op) {
    return op.operand == Layout::kPerChannel || op.operand == Layout::kPerImage;
  });
}

bool Chain::reads_output_places() const noexcept {
  return std::any_of(ops_.begin(), ops_.end(),
                     [](const Op& op) { return op.operand == Layout::kSame; });
}

int Chain::take_factor() {
  if (ops_.empty()) return -1;
  const Op& last = ops_.back();
  if (last.is_unary || last.binary != BinaryOp::kMul || last.operand != Layout::kPerChannel ||
      last.codes)
    return -1;
  const int input = last.input;
  ops_.pop_back();
  return input;
}

std::optional<RealClamp> Chain::as_clamp() const {
  if (ops_.empty()) return RealClamp{};
  return ops_.size() == 1 ? clamp_of(ops_[0]) : std::nullopt;
}

std::optional<UnaryF32> Chain::as_activation() const {
  if (ops_.size() != 1 || !ops_[0].is_unary || !is_activation(ops_[0].unary.op))
    return std::nullopt;
  return ops_[0].unary;
}

namespace {

// A constant operand's values, one or one a channel; empty when it is anything else.
std::vector<double> constant_operand(const OpContext& c, const Chain::Op& op) {
  if (op.operand != Chain::Layout::kScalar && op.operand != Chain::Layout::kPerChannel) return {};
  const ValueInfo& info = c.input(static_cast<std::size_t>(op.input));
  if (info.constant == nullptr) return {};
  std::vector<double> values = to_float64(*info.constant);
  if (op.codes)
    for (double& v : values) v = op.map.scale * (v - op.map.zero);
  return values;
}

// clamp(x a + c + r, lo, hi), one channel.
struct Affine {
  double a = 1, c = 0, r = 0;
  double lo = -std::numeric_limits<double>::infinity();
  double hi = std::numeric_limits<double>::infinity();

  [[nodiscard]] bool is_clamped() const { return lo > -HUGE_VAL || hi < HUGE_VAL; }
  void scale(double k) {
    a *= k, c *= k, r *= k, lo *= k, hi *= k;
    if (k < 0) std::swap(lo, hi);
  }
  void shift(double k) { c += k, lo += k, hi += k; }
  // Followed by a clamp.
  void clamp(const RealClamp& range) {
    const auto l = static_cast<double>(range.lo), h = static_cast<double>(range.hi);
    lo = std::min(std::max(lo, l), h);
    hi = std::min(std::max(hi, l), h);
  }
  // Followed by an operator with a constant; false where it is not affine.
  [[nodiscard]] bool then(const Chain::Op& op, double k) {
    switch (op.binary) {
      case BinaryOp::kAdd:
        shift(k);
        break;
      case BinaryOp::kSub:
        if (op.reversed) scale(-1);
        shift(op.reversed ? k : -k);
        break;
      case BinaryOp::kDiv:
        if (op.reversed) return false;
        k = 1 / k;
        [[fallthrough]];
      case BinaryOp::kMul:
        if (k == 0) return false;
        scale(k);
        break;
      default:
        return false;
    }
    // Anything else is left to float arithmetic, which knows infinities.
    return std::fabs(a) < 1e18 && std::fabs(c) < 1e18 && std::fabs(r) < 1e18;
  }
};

// The operator with a constant as the epilogue of a kernel names it.
ChainEnd::Step step_of(const Chain::Op& op, const std::vector<double>& k) {
  ChainEnd::Step step{FloatSteps::Op::kAdd, {k.begin(), k.end()}};
  if (op.binary == BinaryOp::kMul) step.op = FloatSteps::Op::kMul;
  if (op.binary == BinaryOp::kDiv) step.op = FloatSteps::Op::kDiv;
  if (op.binary != BinaryOp::kSub) return step;
  if (op.reversed)
    step.op = FloatSteps::Op::kFrom;
  else
    for (float& v : step.v) v = -v;
  return step;
}

bool is_sum_with_codes(const Chain::Op& op) {
  return !op.is_unary && op.codes && op.operand == Chain::Layout::kSame &&
         (op.binary == BinaryOp::kAdd || op.binary == BinaryOp::kSub);
}

}  // namespace

ChainEnd Chain::take_end(const OpContext& c, const TensorMap& y) {
  // The longest run at the end of affine operators, one sum with codes before any clamp, clamps.
  const auto follow = [&](std::size_t first, ChainEnd& e) {
    std::vector<Affine> maps(1);
    for (std::size_t i = first; i < ops_.size(); ++i) {
      const Op& op = ops_[i];
      if (const auto clamp = clamp_of(op)) {
        for (Affine& m : maps) m.clamp(*clamp);
        continue;
      }
      if (is_sum_with_codes(op)) {
        if (e.residual_input >= 0 || maps[0].is_clamped()) return false;
        e.residual_input = op.input;
        e.r_zero = op.map.zero;
        const bool minus_x = op.binary == BinaryOp::kSub && op.reversed;
        const bool minus_r = op.binary == BinaryOp::kSub && !op.reversed;
        for (Affine& m : maps) {
          if (minus_x) m.scale(-1);
          m.r = minus_r ? -op.map.scale : op.map.scale;
        }
        continue;
      }
      const auto k = op.is_unary ? std::vector<double>{} : constant_operand(c, op);
      if (k.empty()) return false;
      if (k.size() > 1 && maps.size() == 1) maps.resize(k.size(), maps[0]);
      for (std::size_t n = 0; n < maps.size(); ++n)
        if (!maps[n].then(op, k[k.size() == 1 ? 0 : n])) return false;
      e.steps.push_back(step_of(op, k));
    }
    e.a.clear();
    e.c.clear();
    for (const Affine& m : maps) {
      if (m.r != maps[0].r) return false;  // The residual has one ratio.
      e.a.push_back(m.a / y.scale);
      e.c.push_back(m.c / y.scale);
      // Rounding is monotone, so a clamp of reals before the Q is a clamp of codes after it.
      e.lo.push_back(static_cast<std::uint8_t>(encode(static_cast<float>(m.lo), y)));
      e.hi.push_back(static_cast<std::uint8_t>(encode(static_cast<float>(m.hi), y)));
    }
    e.r_scale = maps[0].r;
    e.r_ratio = static_cast<float>(e.r_scale / y.scale);
    const auto one = [](const std::vector<std::uint8_t>& v) {
      return std::all_of(v.begin(), v.end(), [&](std::uint8_t x) { return x == v[0]; });
    };
    if (one(e.lo) && one(e.hi)) {
      e.codes.lo = e.lo[0];
      e.codes.hi = e.hi[0];
      e.lo.clear();
      e.hi.clear();
    }
    return true;
  };
  std::size_t first = 0;
  for (;; ++first) {
    ChainEnd end;
    end.codes = {0, 255, y.zero};
    if (!follow(first, end)) continue;  // An empty run always fits.
    ops_.resize(first);
    return end;
  }
}

void ChainEnd::limit(std::uint8_t* y, std::ptrdiff_t stride, std::int64_t rows, std::int64_t cols,
                     std::int64_t channel) const {
  if (!has_limits()) return;
  const std::uint8_t* l = lo.data() + channel;
  const std::uint8_t* h = hi.data() + channel;
  for (std::int64_t r = 0; r < rows; ++r, y += stride)
    for (std::int64_t i = 0; i < cols; ++i) y[i] = std::min(std::max(y[i], l[i]), h[i]);
}

std::optional<ChainSum> Chain::as_sum_of_floats() const {
  if (ops_.empty() || ops_.size() > 2 || ops_[0].is_unary || ops_[0].binary != BinaryOp::kAdd ||
      ops_[0].operand != Layout::kSame || ops_[0].codes)
    return std::nullopt;
  ChainSum sum{ops_[0].input, {}};
  if (ops_.size() == 1) return sum;
  const auto clamp = clamp_of(ops_[1]);
  if (!clamp) return std::nullopt;
  sum.clamp = *clamp;
  return sum;
}

void Chain::load(const ChainPiece& p, const StepArgs& args,
                 const std::optional<TensorMap>& map) const {
  const auto scale = map ? static_cast<float>(map->scale) : 1.0f;
  const QuantParams params{&scale, map ? &map->zero : nullptr, false, 0, 255};
  const bool dense = p.x_stride == p.cols && p.offset_stride == p.cols;
  const std::int64_t rows = dense ? 1 : p.rows;
  const std::int64_t cols = dense ? p.rows * p.cols : p.cols;
  for (std::int64_t r = 0; r < rows; ++r) {
    float* to = p.x + r * p.x_stride;
    const std::int64_t at = p.offset + r * p.offset_stride;
    if (map)
      codes_->dequantize(args.input<std::uint8_t>(0) + at, 1, cols, params, to);
    else
      std::copy_n(args.input<float>(0) + at, cols, to);
  }
}

void Chain::run(const ChainPiece& p, const StepArgs& args) const {
  const bool dense = p.x_stride == p.cols;
  for (const Op& op : ops_) {
    if (op.is_unary) {
      if (dense)
        math_->unary(op.unary, p.x, p.x, p.rows * p.cols);
      else
        for (std::int64_t r = 0; r < p.rows; ++r)
          math_->unary(op.unary, p.x + r * p.x_stride, p.x + r * p.x_stride, p.cols);
      continue;
    }
    const auto input = static_cast<std::size_t>(op.input);
    const std::int64_t first = op.operand == Layout::kSame         ? p.offset
                               : op.operand == Layout::kPerChannel ? p.channel
                               : op.operand == Layout::kPerImage   ? p.image * channels_ + p.channel
                                                                   : 0;
    const std::ptrdiff_t row_step = op.operand == Layout::kSame ? p.offset_stride : 0;
    const std::ptrdiff_t col_step = op.operand == Layout::kScalar ? 0 : 1;
    BinaryF32Args b;
    b.op = op.binary;
    b.y_row = p.x_stride;
    const auto apply = [&](float* x, const float* operand, std::ptrdiff_t operand_row,
                           std::int64_t rows, std::int64_t cols) {
      b.rows = rows;
      b.cols = cols;
      b.y = x;
      b.a = op.reversed ? operand : x;
      b.a_row = op.reversed ? operand_row : p.x_stride;
      b.a_col = op.reversed ? col_step : 1;
      b.b = op.reversed ? x : operand;
      b.b_row = op.reversed ? p.x_stride : operand_row;
      b.b_col = op.reversed ? 1 : col_step;
      math_->binary(b);
    };
    if (!op.codes) {
      apply(p.x, args.input<float>(input) + first, row_step, p.rows, p.cols);
      continue;
    }
    const auto scale = static_cast<float>(op.map.scale);
    const QuantParams map{&scale, &op.map.zero, false, 0, 255};
    std::array<float, kPiece> reals;
    // Rows that lie without a gap are one; an operand that all rows share becomes reals once.
    const bool run_on = dense && row_step == p.cols;
    const bool shared = row_step == 0;
    const std::int64_t rows = run_on || shared ? 1 : p.rows;
    const std::int64_t cols = run_on ? p.rows * p.cols : p.cols;
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t at = 0; at < cols; at += kPiece) {
        const std::int64_t n = std::min(kPiece, cols - at);
        const std::uint8_t* codes =
            args.input<std::uint8_t>(input) + first + r * row_step + at * col_step;
        codes_->dequantize(codes, 1, col_step == 0 ? 1 : n, map, reals.data());
        apply(p.x + r * p.x_stride + at, reals.data(), 0, shared ? p.rows : 1, n);
      }
  }
}

void Chain::run(const ChainPiece& piece, const StepArgs& args, const ChainEnd& end,
                std::uint8_t* out, std::ptrdiff_t out_stride) const {
  EncodeU8Args e;
  std::array<float, kPiece> a, c;
  e.a = a.data();
  e.c = c.data();
  e.codes = end.codes;
  e.r_zero = end.r_zero;
  e.r_ratio = end.r_ratio;
  e.r_row_bytes = piece.offset_stride;
  e.x_stride = piece.x_stride;
  e.y_row_bytes = out_stride;
  // Blocks that stay in the first-level cache from the first operator to the codes.
  const std::int64_t cols = std::min(piece.cols, kPiece);
  const std::int64_t rows = std::max<std::int64_t>(1, kBlock / std::max<std::int64_t>(1, cols));
  for (std::int64_t at = 0; at < piece.cols; at += cols) {
    ChainPiece block = piece;
    block.cols = std::min(cols, piece.cols - at);
    block.channel += at;
    const std::int64_t maps = end.per_channel() ? block.cols : 1;
    for (std::int64_t i = 0; i < maps; ++i) {
      a[static_cast<std::size_t>(i)] = static_cast<float>(end.a_of(block.channel + i));
      c[static_cast<std::size_t>(i)] = static_cast<float>(end.c_of(block.channel + i));
    }
    e.cols = block.cols;
    e.per_col = end.per_channel();
    for (std::int64_t row = 0; row < piece.rows; row += rows) {
      block.rows = std::min(rows, piece.rows - row);
      block.x = piece.x + row * piece.x_stride + at;
      block.offset = piece.offset + row * piece.offset_stride + at;
      run(block, args);
      e.rows = block.rows;
      e.x = block.x;
      e.y = out + row * out_stride + at;
      if (!end.by_channel.empty()) {
        end.by_channel.run(*codes_, block.x, block.x_stride, block.rows, block.cols, block.channel,
                           e.y, out_stride);
        continue;
      }
      if (end.residual_input >= 0)
        e.r = args.input<std::uint8_t>(static_cast<std::size_t>(end.residual_input)) + block.offset;
      codes_->encode(e);
      end.limit(e.y, out_stride, block.rows, block.cols, block.channel);
    }
  }
}

void Chain::store_codes(const CodesU8Kernel& kernel, const TensorMap& map, const float* x,
                        std::ptrdiff_t x_stride, std::int64_t rows, std::int64_t cols,
                        std::uint8_t* out, std::ptrdiff_t out_stride, float inverse,
                        const float* factor) {
  const auto scale = static_cast<float>(map.scale);
  const QuantParams params{&scale, &map.zero, false, 0, 255, inverse, factor};
  if (x_stride == cols && out_stride == cols) return kernel.quantize(x, rows, cols, params, out);
  for (std::int64_t r = 0; r < rows; ++r)
    kernel.quantize(x + r * x_stride, 1, cols, params, out + r * out_stride);
}

}  // namespace intact
