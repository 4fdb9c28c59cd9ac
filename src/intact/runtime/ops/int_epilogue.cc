#include "runtime/ops/int_epilogue.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/gemm_u8s8.h"

namespace intact {

ChannelMaps IntEpilogue::channel_maps(std::span<const double> input_scales,
                                      std::span<const float> float_bias) const {
  const auto n = static_cast<std::int64_t>(input_scales.size());
  ChannelMaps maps;
  maps.m.assign(static_cast<std::size_t>(padded_n(n)), 0.0f);
  maps.c.assign(static_cast<std::size_t>(padded_n(n)), 0.0f);
  const double y = codes_out && chain.empty() ? code.scale : 1.0;
  for (std::size_t i = 0; i < input_scales.size(); ++i) {
    maps.m[i] = static_cast<float>(input_scales[i] / y);
    if (!float_bias.empty()) maps.c[i] = static_cast<float>(static_cast<double>(float_bias[i]) / y);
  }
  return maps;
}

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
  if (quant->scale.size() != 1)
    return fail(ErrorCode::kUnsupported, "the output of an integer node has a scale per channel");
  e.code = TensorMap{static_cast<double>(quant->scale[0]), quant->zero_point[0]};
  e.base.codes = {0, 255, e.code.zero};
  // Rounding is monotone, so a clamp of reals before the Q is a clamp of codes after it.
  const auto set_clamp = [&](const RealClamp& clamp) {
    e.base.codes.lo = encode(clamp.lo, e.code);
    e.base.codes.hi = encode(clamp.hi, e.code);
  };
  if (const auto clamp = e.chain.as_clamp()) {
    set_clamp(*clamp);
    e.chain.clear();
  } else if (const auto sum = e.chain.as_sum_of_codes()) {
    e.base.residual = Residual::kBeforeCode;
    e.base.r_zero = sum->map.zero;
    e.base.r_ratio = static_cast<float>(sum->map.scale / e.code.scale);
    e.residual_input = sum->input;
    set_clamp(sum->clamp);
    e.chain.clear();
  }
  e.base.kind = e.chain.empty() ? EpilogueKind::kCodes : EpilogueKind::kFloat;
  return e;
}

bool WeightMap::has_zero() const {
  return std::any_of(zero.begin(), zero.end(), [](std::int32_t z) { return z != 0; });
}

Result<WeightMap> weight_map(const ValueInfo& w, std::int64_t channels) {
  INTACT_CHECK(w.quant != nullptr && w.constant != nullptr, "an integer node without weight codes");
  if (w.dtype != Dtype::kInt8 && w.dtype != Dtype::kUint8)
    return fail(ErrorCode::kUnsupported, fmt::format("weights of type {}", name_of(w.dtype)));
  WeightMap map;
  map.scale.assign(w.quant->scale.begin(), w.quant->scale.end());
  map.zero = w.quant->zero_point;
  if (map.scale.size() != 1 && map.scale.size() != static_cast<std::size_t>(channels))
    return fail(ErrorCode::kInvalidModel,
                fmt::format("{} weight scales for {} channels", map.scale.size(), channels));
  return map;
}

}  // namespace intact
