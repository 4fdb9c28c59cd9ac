#include "runtime/ops/int_epilogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/gemm_u8s8.h"

namespace intact {

ChannelMaps IntEpilogue::channel_maps(std::span<const double> input_scales,
                                      std::span<const float> float_bias, std::int64_t first,
                                      std::int64_t channels) const {
  const auto n = static_cast<std::int64_t>(input_scales.size());
  std::vector<float> m(static_cast<std::size_t>(padded_n(n)), 0.0f), c = m, g_m, g_c;
  const bool ends_here = codes_out && !through_float() && !base.is_mapped();
  if (base.is_mapped()) g_m = g_c = m;
  for (std::size_t i = 0; i < input_scales.size(); ++i) {
    const std::int64_t channel = first + static_cast<std::int64_t>(i) % channels;
    const double a = ends_here ? end.a_of(channel) : 1.0;
    const double bias = float_bias.empty() ? 0.0 : static_cast<double>(float_bias[i]);
    m[i] = static_cast<float>(input_scales[i] * a);
    c[i] = static_cast<float>(bias * a + (ends_here ? end.c_of(channel) : 0.0));
    if (!base.is_mapped()) continue;
    g_m[i] = static_cast<float>(end.a_of(channel));
    g_c[i] = static_cast<float>(end.c_of(channel));
  }
  const auto stride = static_cast<std::ptrdiff_t>(m.size());
  if (!base.steps) return {m, c, g_m, g_c, {}, stride};
  std::vector<float> steps;
  for (const ChainEnd::Step& step : end.steps) {
    const std::size_t row = steps.size();
    steps.resize(row + m.size(), 1.0f);
    for (std::size_t i = 0; i < input_scales.size(); ++i) {
      const std::int64_t channel = first + static_cast<std::int64_t>(i) % channels;
      steps[row + i] = step.v_of(channel);
    }
  }
  return {m, c, g_m, g_c, steps, stride};
}

void IntEpilogue::finish_pixels(float* x, std::byte* image_out, std::int64_t image,
                                std::int64_t first, std::int64_t count, std::int64_t pixels,
                                std::int64_t channels, const StepArgs& args) const {
  std::uint8_t* codes = reinterpret_cast<std::uint8_t*>(image_out) + first * channels;
  if (codes_out && !through_float()) end.limit(codes, channels, count, channels, 0);
  if (chain.empty() && !through_float()) return;
  ChainPiece piece;
  piece.x = x;
  piece.x_stride = piece.cols = piece.offset_stride = channels;
  piece.rows = count;
  piece.offset = (image * pixels + first) * channels;
  piece.image = image;
  if (through_float())
    chain.run(piece, args, end, codes, channels);
  else
    chain.run(piece, args);
}

void IntEpilogue::take_sum() {
  if (chain.ops().size() != 1 || end.residual_input >= 0) return;
  const Chain::Op& op = chain.ops()[0];
  if (op.is_unary || op.binary != BinaryOp::kAdd || op.operand != Chain::Layout::kSame) return;
  residual_input = op.input;
  base.residual = op.codes ? Residual::kBeforeMap : Residual::kReal;
  base.r_zero = op.map.zero;
  base.r_ratio = static_cast<float>(op.map.scale);
  chain.clear();
}

namespace {

bool is_power_of_two(float x) {
  int exponent = 0;
  return std::fabs(std::frexp(x, &exponent)) == 0.5f;
}

bool is_exact(const ChainEnd::Step& step) {
  return (step.op == FloatSteps::Op::kMul || step.op == FloatSteps::Op::kDiv) &&
         std::all_of(step.v.begin(), step.v.end(), is_power_of_two);
}

// True when the steps round no more often than one product and then one sum do. Powers of two
// commute with roundings, so that the map of both holds them.
bool is_product_and_sum(const std::vector<ChainEnd::Step>& steps) {
  using Op = FloatSteps::Op;
  Op last = Op::kMul;
  int products = 0, sums = 0;
  for (const ChainEnd::Step& step : steps) {
    if (is_exact(step)) continue;
    if (step.op == Op::kDiv || (step.op == Op::kMul && last != Op::kMul)) return false;
    (step.op == Op::kMul ? products : sums)++;
    last = step.op;
  }
  return products <= 1 && sums <= 1;
}

}  // namespace

void IntEpilogue::take_steps() {
  if (!base.function || !is_piecewise(base.function->op) || residual_input >= 0) return;
  // Leaky relu on its own stays in registers, whatever the step of Q: most of it is exact sums,
  // whose ties the one product keeps (quant/short_scale.h).
  if (base.function->op == UnaryOp::kLeakyRelu &&
      std::all_of(end.steps.begin(), end.steps.end(), is_exact))
    return;
  // Q divides as well.
  const auto scale = static_cast<float>(code.scale);
  end.steps.push_back({FloatSteps::Op::kDiv, {scale}});
  if (is_product_and_sum(end.steps)) {
    // What rounds nothing may be either; registers do hard swish apart and leaky relu in one.
    const bool exact = std::all_of(end.steps.begin(), end.steps.end(), is_exact);
    base.apart = !exact || is_hard_swish(base.function->op);
    return;
  }
  if (end.steps.size() > FloatSteps::kMost) return;
  for (const ChainEnd::Step& step : end.steps) base.steps.op[base.steps.count++] = step.op;
}

namespace {

// True for 3/2 of a power of two: steps of it are thirds of steps of powers of two. Two terms
// divided by it one by one, each rounded, may miss a tie that their sum in real units hits
// (quant/short_scale.h).
bool has_thirds(float scale) {
  int exponent = 0;
  return std::frexp(scale, &exponent) == 0.75f;
}

// True when the end is (x + residual) / scale.
bool is_plain_sum(const ChainEnd& end, double scale) {
  const auto all = [](const std::vector<double>& v, double x) {
    return std::all_of(v.begin(), v.end(), [&](double y) { return y == x; });
  };
  return all(end.a, 1.0 / scale) && all(end.c, 0.0) && end.r_scale > 0;
}

}  // namespace

Result<IntEpilogue> read_int_epilogue(const OpContext& c, const ValueInfo& out) {
  IntEpilogue e;
  const auto& quant = c.graph().value(c.node().outputs[0]).quant;
  e.codes_out = quant.has_value();
  INTACT_ASSIGN(e.chain, read_chain(c, out));
  if (!e.codes_out) {
    e.base.kind = EpilogueKind::kFloat;
    if (const auto clamp = e.chain.as_clamp()) {
      e.base.lo_f = clamp->lo;
      e.base.hi_f = clamp->hi;
      e.chain.clear();
    }
    return e;
  }
  if (quant->scale.size() != 1) {
    e.end.by_channel = ColumnQuantizer(quant->scale, quant->zero_point);
    e.base.kind = EpilogueKind::kFloat;
    return e;
  }
  e.code = TensorMap{static_cast<double>(quant->scale[0]), quant->zero_point[0]};
  e.end = e.chain.take_end(c, e.code);
  e.base.codes = e.end.codes;
  e.base.function = e.chain.as_activation();
  if (e.base.function) e.chain.clear();
  e.take_sum();
  if (!e.chain.empty()) {
    e.base.kind = EpilogueKind::kFloat;
    return e;
  }
  e.base.kind = EpilogueKind::kCodes;
  if (e.end.residual_input >= 0) {
    e.residual_input = e.end.residual_input;
    e.base.r_zero = e.end.r_zero;
    const bool in_reals =
        !e.base.function && has_thirds(quant->scale[0]) && is_plain_sum(e.end, e.code.scale);
    e.base.residual = in_reals ? Residual::kBeforeMap : Residual::kBeforeCode;
    e.base.r_ratio = in_reals ? static_cast<float>(e.end.r_scale) : e.end.r_ratio;
  }
  e.take_steps();
  return e;
}

bool WeightMap::has_zero() const {
  return std::any_of(zero.begin(), zero.end(), [](std::int32_t z) { return z != 0; });
}

Result<WeightMap> weight_map(const ValueInfo& w, std::int64_t channels) {
  INTACT_CHECK(w.quant != nullptr && w.constant != nullptr, "an integer node without weight codes");
  if (w.dtype != Dtype::kInt8 && w.dtype != Dtype::kUint8)
    return fail(ErrorCode::kUnsupported, fmt::format("weights of type {}", name_of(w.dtype)));
  const WeightMap map{w.quant->scale, w.quant->zero_point};
  if (map.scale.size() != 1 && map.scale.size() != static_cast<std::size_t>(channels))
    return fail(ErrorCode::kInvalidModel,
                fmt::format("{} weight scales for {} channels", map.scale.size(), channels));
  return map;
}

}  // namespace intact
