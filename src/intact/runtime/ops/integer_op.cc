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

void declare_rows(OpContext& c, const IntEpilogue& e, const Cut& rows, std::int64_t out_row,
                  const WindowGeometry& g, std::int64_t in_row) {
  const auto image = [parts = rows.parts](std::size_t t) {
    return static_cast<std::int64_t>(t) / parts;
  };
  const auto part = [parts = rows.parts](std::size_t t) {
    return static_cast<std::int64_t>(t) % parts;
  };
  const auto written = [=, height = g.out_h](std::size_t t) {
    const std::int64_t top = image(t) * height;
    return Extent{out_row, top + rows.begin(part(t)), top + rows.end(part(t)), 0, out_row};
  };
  c.writes(written);
  if (e.residual_input >= 0) c.reads(static_cast<std::size_t>(e.residual_input), written);
  c.reads(0, [=](std::size_t t) {
    const std::int64_t top = image(t) * g.in_h;
    const std::int64_t first = rows.begin(part(t)) * g.stride_h - g.pad_top;
    const std::int64_t last =
        (rows.end(part(t)) - 1) * g.stride_h - g.pad_top + (g.kernel_h - 1) * g.dilation_h + 1;
    return Extent{in_row, top + std::max<std::int64_t>(0, first),
                  top + std::min<std::int64_t>(g.in_h, last), 0, in_row};
  });
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
