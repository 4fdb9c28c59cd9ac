// epilogue.h: what happens to an int32 accumulator, for every integer GEMM and depthwise kernel.
//
// kCodes, numerics.md equation (6), computed in float exactly as written, one fma word:
//
//   f    = fma(float(acc), m[n], c[n])
//   code = clamp(rne(f), lo - zero, hi - zero) + zero                                           (1)
//
// With Residual::kAfterCode a first code is formed in the register, then the sum (z1 = first.zero):
//
//   q1   = clamp(rne(f), first.lo - z1, first.hi - z1) + z1
//   code = clamp(rne(fma(q1 - z1, first_ratio, (r - r_zero) * r_ratio)), lo - zero, hi - zero) +
//   zero   (2)
//
// With Residual::kBeforeCode (no Q between the product and the sum) there is one rounding:
//
//   code = clamp(rne(f + (r - r_zero) * r_ratio), lo - zero, hi - zero) + zero                  (3)
//
// With a function g (an activation, elementwise_f32.h) m and c map to real units, and what it
// leaves becomes codes; no residual, or kBeforeCode:
//
//   f    = fma(g(fma(float(acc), m[n], c[n])), g_m[n], g_c[n])                                  (4)
//   code = clamp(rne(f + (r - r_zero) * r_ratio), lo - zero, hi - zero) + zero, NaN gives zero
//
// Where the operators that the file has between g and Q round, an engine that computes them one by
// one meets other ties than (4) does. The same codes as theirs have, without a residual,
//
//   f    = g(..) g_m[n] + g_c[n], apart: the product rounded before the sum                     (5)
//   f    = g(..) op[0] v[0][n] op[1] v[1][n] .., each rounded, with steps                       (6)
//
// With Residual::kBeforeMap, where s is (r - r_zero) * r_ratio, and kReal, where s is the real r, a
// sum of reals becomes codes; no function:
//
//   f    = fma(fma(float(acc), m[n], c[n]) + s, g_m[n], g_c[n])                                 (7)
//   code = clamp(rne(f), lo - zero, hi - zero) + zero, NaN gives zero
//
// A table, when there is one, maps the code last: out = lut[code].
// kFloat: y = min(max(fma(float(acc), m[n] * row_scale[row], c[n]), lo_f), hi_f), the product
// rounded to float first; without row_scale the factor is m[n] itself.
// kRaw: the accumulator, int32.
//
// Arrays indexed by n are readable up to the next multiple of 16 elements; residual rows of codes
// have 64 bytes of slack, like every operand of an integer kernel, those of reals need none.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "kernels/elementwise_f32.h"

namespace intact {

// Width of a column panel: per-channel arrays are padded to a multiple of it.
inline constexpr int kPanelCols = 16;

enum class EpilogueKind : std::uint8_t { kCodes, kFloat, kRaw };
enum class Residual : std::uint8_t { kNone, kAfterCode, kBeforeCode, kBeforeMap, kReal };

// A code's inclusive range and the code of real 0; 0 <= lo <= hi <= 255, zero in [0, 255].
struct CodeLimits {
  std::int32_t lo = 0;
  std::int32_t hi = 255;
  std::int32_t zero = 0;
};

// Operators between a function and the rounding to a code: equation (6).
struct FloatSteps {
  enum class Op : std::uint8_t { kAdd, kMul, kDiv, kFrom };  // y + v, y v, y / v, v - y
  static constexpr std::size_t kMost = 7;

  std::array<Op, kMost> op{};
  std::size_t count = 0;     // 0: no steps.
  const float* v = nullptr;  // [count][stride]
  std::ptrdiff_t stride = 0;

  [[nodiscard]] explicit operator bool() const { return count > 0; }
};

struct Epilogue {
  EpilogueKind kind = EpilogueKind::kCodes;
  Residual residual = Residual::kNone;  // kCodes only.
  const float* m = nullptr;  // [N] codes (kCodes) or real units (kFloat) per accumulator step.
  const float* c = nullptr;  // [N] added, codes or real units. Never null unless kRaw.
  CodeLimits codes;          // Of the output.

  std::optional<UnaryF32> function;  // kCodes only.
  const float* g_m = nullptr;        // [N], where is_mapped().
  const float* g_c = nullptr;
  bool apart = false;
  FloatSteps steps;

  const std::uint8_t* lut = nullptr;  // [256], kCodes only; null: identity.

  const std::uint8_t* r = nullptr;  // See residual_at.
  std::ptrdiff_t r_row_bytes = 0;
  std::int32_t r_zero = 0;
  float r_ratio = 0.0f;      // s_r / s_y
  CodeLimits first;          // kAfterCode: of q1.
  float first_ratio = 1.0f;  // kAfterCode: s_1 / s_y

  float lo_f = -std::numeric_limits<float>::infinity();  // kFloat.
  float hi_f = std::numeric_limits<float>::infinity();
  const float* row_scale = nullptr;  // kFloat: [M], absolute row index; null: none.

  // Equations (4) to (7): codes are made of reals.
  [[nodiscard]] bool is_mapped() const {
    return function || residual == Residual::kBeforeMap || residual == Residual::kReal;
  }
  // The residual of an element, a code or the bytes of a real; null without one.
  [[nodiscard]] const std::uint8_t* residual_at(std::int64_t row, std::int64_t n) const {
    const std::int64_t bytes = residual == Residual::kReal ? 4 : 1;
    return r == nullptr ? nullptr : r + row * r_row_bytes + n * bytes;
  }
};

}  // namespace intact
