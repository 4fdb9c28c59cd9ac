// epilogue_ref.h: epilogue.h written once per element: what every kernel must equal.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/round.h"
#include "kernels/epilogue.h"
#include "kernels/isa/f32_scalar.h"
#include "kernels/unary_f32.inl.h"

namespace intact {

// clamp(rne(f), lo - zero, hi - zero), as a float.
inline float round_to_limits(float f, const CodeLimits& k) noexcept {
  const float q = round_half_even(f);
  const auto lo = static_cast<float>(k.lo - k.zero);
  const auto hi = static_cast<float>(k.hi - k.zero);
  return q < lo ? lo : q > hi ? hi : q;
}

// Equations (4) to (6) behind g.
inline float map_of(const Epilogue& e, float y, std::int64_t n) noexcept {
  if (e.apart) return y * e.g_m[n] + e.g_c[n];  // Nothing here is contracted.
  if (!e.steps) return std::fma(y, e.g_m[n], e.g_c[n]);
  for (std::size_t k = 0; k < e.steps.count; ++k) {
    const float v = e.steps.v[static_cast<std::ptrdiff_t>(k) * e.steps.stride + n];
    switch (e.steps.op[k]) {
      case FloatSteps::Op::kAdd:
        y = y + v;
        break;
      case FloatSteps::Op::kMul:
        y = y * v;
        break;
      case FloatSteps::Op::kDiv:
        y = y / v;
        break;
      case FloatSteps::Op::kFrom:
        y = v - y;
        break;
    }
  }
  return y;
}

// Applies the epilogue to acc of (row, n). row_out is the output's row.
inline void epilogue_element(const Epilogue& e, std::int64_t acc, std::int64_t row, std::int64_t n,
                             void* row_out) noexcept {
  if (e.kind == EpilogueKind::kRaw) {
    const auto low = static_cast<std::int32_t>(static_cast<std::uint32_t>(acc));
    std::memcpy(static_cast<std::byte*>(row_out) + 4 * n, &low, 4);
    return;
  }
  const auto x = static_cast<float>(acc);
  if (e.kind == EpilogueKind::kFloat) {
    const float m = e.row_scale != nullptr ? e.m[n] * e.row_scale[row] : e.m[n];
    float y = std::fma(x, m, e.c[n]);
    y = y > e.hi_f ? e.hi_f : y;
    y = y < e.lo_f ? e.lo_f : y;
    std::memcpy(static_cast<std::byte*>(row_out) + 4 * n, &y, 4);
    return;
  }
  const std::uint8_t* res = e.residual_at(row, n);
  float s = 0.0f;
  if (e.residual == Residual::kReal)
    std::memcpy(&s, res, sizeof(s));
  else if (e.residual != Residual::kNone)
    s = static_cast<float>(*res - e.r_zero) * e.r_ratio;
  float f = std::fma(x, e.m[n], e.c[n]);
  if (e.function) {
    with_activation<ScalarF32>(*e.function, [&](auto g) { f = g(f); });
    f = map_of(e, f, n);
  }
  if (e.residual == Residual::kAfterCode)
    f = std::fma(round_to_limits(f, e.first), e.first_ratio, s);
  else if (e.residual == Residual::kBeforeCode)
    f += s;
  else if (e.residual != Residual::kNone)
    f = std::fma(f + s, e.g_m[n], e.g_c[n]);
  f = f == f ? f : 0.0f;
  const auto code = static_cast<std::uint8_t>(
      static_cast<std::int32_t>(round_to_limits(f, e.codes)) + e.codes.zero);
  static_cast<std::uint8_t*>(row_out)[n] = e.lut != nullptr ? e.lut[code] : code;
}

}  // namespace intact
