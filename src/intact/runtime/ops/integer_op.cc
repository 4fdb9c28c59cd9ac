#include "runtime/ops/integer_op.h"

#include <fmt/format.h>

#include <algorithm>

namespace intact {

Result<Bias> read_bias(const OpContext& c, std::int64_t channels) {
  Bias bias;
  if (!c.has(2)) return bias;
  const Tensor* t = c.input(2).constant;
  if (t == nullptr) return fail(ErrorCode::kUnsupported, "the bias depends on data");
  if (t->size() != channels)
    return fail(ErrorCode::kInvalidModel,
                fmt::format("a bias of {} for {} channels", t->size(), channels));
  if (t->dtype() == Dtype::kInt32)
    bias.codes = t->values<std::int32_t>();
  else if (t->dtype() == Dtype::kFloat32)
    bias.reals = t->values<float>();
  else
    return fail(ErrorCode::kUnsupported, fmt::format("a bias of type {}", name_of(t->dtype())));
  return bias;
}

Status declare_output(OpContext& c, Shape shape, Layout layout) {
  const bool codes = c.graph().value(c.node().outputs[0]).quant.has_value();
  return c.output(0, codes ? Dtype::kUint8 : Dtype::kFloat32, std::move(shape), layout);
}

void declare_operands(OpContext& c, const IntEpilogue& e) {
  const ExtentFn& written = c.tasks_.writes;
  for (const int input : {e.residual_input, e.end.residual_input})
    if (input >= 0) c.reads(static_cast<std::size_t>(input), written);
  for (const Chain::Op& op : e.chain.ops()) {
    if (op.is_unary) continue;
    const auto input = static_cast<std::size_t>(op.input);
    if (op.operand == Chain::Layout::kSame)
      c.reads(input, written);
    else
      c.reads(input, [all = element_range(0, c.input(input).size())](std::size_t) { return all; });
  }
}

Tensor channels_innermost(const Tensor& w) {
  const std::int64_t out = w.shape()[0], in = w.shape()[1];
  const std::int64_t taps = num_elements({w.shape().begin() + 2, w.shape().end()});
  Tensor turned(w.dtype(), {out, taps, in});
  std::byte* to = turned.raw();
  for (std::int64_t o = 0; o < out; ++o)
    for (std::int64_t t = 0; t < taps; ++t)
      for (std::int64_t i = 0; i < in; ++i) *to++ = w.raw()[(o * in + i) * taps + t];
  return turned;
}

IntGemmSource joined_source(const Tensor& turned, const WindowGeometry& g) {
  const std::int64_t run = g.kernel_w * turned.shape()[2];
  IntGemmSource s;
  s.shape = {turned.shape()[0], g.kernel_h, run};
  s.b.b = turned.raw();
  s.b.is_unsigned = turned.dtype() == Dtype::kUint8;
  s.b.tap_bytes = run;
  s.b.k_bytes = 1;
  s.b.n_bytes = g.kernel_h * run;
  return s;
}

}  // namespace intact
