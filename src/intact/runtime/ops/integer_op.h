// integer_op.h: what the operators on codes share (integer_ops.cc).
#pragma once

#include <span>
#include <vector>

#include "runtime/ops/extents.h"
#include "runtime/ops/int_epilogue.h"
#include "runtime/ops/int_gemm.h"
#include "runtime/ops/window.h"

namespace intact {

struct Bias {
  std::span<const std::int32_t> codes;
  std::span<const float> reals;
};

// Input 2, where there is one. Errors: kUnsupported, kInvalidModel.
Result<Bias> read_bias(const OpContext& c, std::int64_t channels);

// Codes when the output value carries a map of them.
Status declare_output(OpContext& c, Shape shape, Layout layout);

// What tasks, for which it is declared what they write, read of what is added and multiplied.
void declare_operands(OpContext& c, const IntEpilogue& e);

// An image's codes: one scale, and a zero point for each channel.
struct ImageMap {
  double scale = 1;
  std::vector<std::int32_t> zeros;

  [[nodiscard]] bool one_zero() const {
    return std::count(zeros.begin(), zeros.end(), zeros[0]) ==
           static_cast<std::ptrdiff_t>(zeros.size());
  }
  [[nodiscard]] TensorMap tensor() const { return {scale, zeros[0]}; }
};

// Kinds of QConv, and QConvTranspose.
Status plan_depthwise(OpContext& c, const IntEpilogue& e, const Window& window,
                      const TensorMap& x_map, const WeightMap& weights, const Bias& bias);
// Of few channels: padded rows are made first, and a row of the kernel is one tap.
Status plan_image_conv(OpContext& c, const IntEpilogue& e, const Window& window,
                       const ImageMap& x_map, const WeightMap& weights, const Bias& bias);
Status plan_qconv_transpose(OpContext& c);

// Weights [out, in, kernel...] as [out, taps, in].
Tensor channels_innermost(const Tensor& w);
// Such weights where a row of the kernel is one tap.
IntGemmSource joined_source(const Tensor& turned, const WindowGeometry& g);

}  // namespace intact
