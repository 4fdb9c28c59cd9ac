// winograd.h: a 3x3 convolution of codes by wino43_u8s8.h, where that is exact and faster.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/ops/int_epilogue.h"
#include "runtime/ops/window.h"

namespace intact {

struct WinogradSource {
  const WeightMap* weights = nullptr;  // Of input 1, int8 [n, c, 3, 3].
  TensorMap x;
  std::span<const std::int32_t> int_bias;  // [n], or empty.
  std::span<const float> float_bias;       // [n], or empty.
};

// Plans input 0, a channels-last image, and declares nothing: outputs are declared. Returns false,
// with nothing done, when the direct kernel is to do it: it is faster, or the weights have no
// proof.
Result<bool> plan_winograd(OpContext& c, const IntEpilogue& e, const Window& window,
                           const WinogradSource& source);

}  // namespace intact
