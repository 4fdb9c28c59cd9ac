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

}  // namespace intact
