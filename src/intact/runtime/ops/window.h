// window.h: the geometry that Conv, ConvTranspose and the pools share, from ONNX attributes.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/conv_rows.h"
#include "runtime/op.h"

namespace intact {

// A window over one or two spatial axes; a 1-D operator is a 2-D one of height 1.
struct Window {
  WindowGeometry geometry;
  std::int32_t pad_bottom = 0;  // As declared: with ceil_mode a window may reach further.
  std::int32_t pad_right = 0;
  int spatial = 2;  // Spatial axes of the operator: 1 or 2.

  // The output's shape in logical order.
  [[nodiscard]] Shape out_shape(std::int64_t batch, std::int64_t channels) const;
};

// Fails unless input 0 is there, channels-last. passes/assign_layout sees to it wherever the rank
// is known when the model is opened. Errors: kInvalidModel for a rank below 3, kUnsupported.
Status require_image(const OpContext& c);

// Reads strides, pads, dilations, auto_pad, ceil_mode and kernel_shape (or `kernel`, the spatial
// sizes of the weights, when not empty) for the spatial sizes of x.
// Errors: kInvalidModel for attributes that contradict each other or give an empty output;
// kUnsupported for three or more spatial axes.
Result<Window> read_window(const Node& node, const ValueInfo& x, std::vector<std::int64_t> kernel);

// A transposed convolution: output position o takes kernel position k from input i when
// o + pad = i stride + k. The positions o = first + stride t of one phase use kernel positions
// k = phase + stride j, so each phase is an ordinary convolution with the j in falling order.
struct TransposedPhase {
  WindowGeometry window;  // Of the ordinary convolution; its pads may be negative.
  std::int64_t first_y = 0, first_x = 0;
  std::vector<std::int64_t>
      kernel;  // Its taps: flat positions in the kernel [kh, kw]. May be empty.
};
struct TransposedWindow {
  std::vector<TransposedPhase> phases;
  std::int64_t out_h = 1, out_w = 1, stride_h = 1, stride_w = 1;
  std::int64_t kernel_size = 1;  // kh kw
  int spatial = 2;
  [[nodiscard]] Shape out_shape(std::int64_t batch, std::int64_t channels) const;
  // Rows of phases: row y of all of them is the lines [y stride_h, (y + 1) stride_h) of the output.
  [[nodiscard]] std::int64_t rows() const { return (out_h + stride_h - 1) / stride_h; }
};

// Reads the attributes of ConvTranspose for weights [in, out / group, kh, kw].
// Errors: kInvalidModel; kUnsupported for dilations and for three or more spatial axes.
Result<TransposedWindow> read_transposed_window(const Node& node, const ValueInfo& x,
                                                const Shape& weights);

}  // namespace intact
