// epilogue_test_util.h: what tests of the kernels that share epilogue.h share.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/epilogue.h"

namespace intact {

// Equations (4) to (6) of epilogue.h.
enum class Rounding : std::uint8_t { kOnce, kApart, kSteps };

// `v`: [4][n16] operands.
inline void put_rounding(Rounding rounding, const float* v, std::int64_t n16, Epilogue& e) {
  using Op = FloatSteps::Op;
  e.apart = rounding == Rounding::kApart;
  if (rounding == Rounding::kSteps)
    e.steps = {{Op::kAdd, Op::kMul, Op::kFrom, Op::kDiv}, 4, v, static_cast<std::ptrdiff_t>(n16)};
}

// Calls check(c) for every way in which a case's codes can end: each residual, each activation with
// and without one, each way of rounding behind those of lines and parabolas.
// Case: residual, function and rounding, which are left as they began.
template <class Case, class Check>
void for_each_ending(Case& c, const Check& check) {
  const Case began = c;
  for (const auto residual : {Residual::kNone, Residual::kAfterCode, Residual::kBeforeCode,
                              Residual::kBeforeMap, Residual::kReal}) {
    c.residual = residual;
    check(c);
  }
  for (const auto residual : {Residual::kNone, Residual::kBeforeCode})
    for (const UnaryOp op : kActivations) {
      c.residual = residual;
      c.function = UnaryF32{op, 0.3f, 0.5f};
      check(c);
    }
  for (const Rounding rounding : {Rounding::kApart, Rounding::kSteps})
    for (const UnaryOp op : kActivations) {
      if (!is_piecewise(op)) continue;
      c.residual = Residual::kNone;
      c.function = UnaryF32{op, 0.3f, 0.5f};
      c.rounding = rounding;
      check(c);
    }
  c.residual = began.residual;
  c.function = began.function;
  c.rounding = began.rounding;
}

}  // namespace intact
