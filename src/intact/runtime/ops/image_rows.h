// image_rows.h: rows of an image as codes, channels-last and padded, for convolutions of few
// channels.
//
// In a padded row the pixels under one row of a kernel are one run of kernel_w * channels bytes
// wherever the kernel stands, so a convolution of three channels has kernel_h taps and not
// kernel_h * kernel_w. The rows are made where they are used, from codes in either order or
// straight from the floats of the model's input: quantizing, changing the order and padding are one
// pass over memory.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/codes_u8.h"
#include "runtime/ops/chain.h"
#include "runtime/ops/window.h"

namespace intact {

class ImageRows {
 public:
  // x: [N, C, H, W] float32 in plain order, or uint8 codes in either order; `scale` is that of the
  // codes, and `zeros` their zero points, one a channel. `factor`: what a channel of float32 is
  // multiplied by first; empty: nothing.
  ImageRows(const ValueInfo& x, double scale, const std::vector<std::int32_t>& zeros,
            std::vector<float> factor, const Window& window, const CodesU8Kernel& kernel);

  // Pixels of a padded row, and bytes from one to the next.
  [[nodiscard]] std::int64_t width() const noexcept { return width_; }
  [[nodiscard]] std::int64_t pitch() const noexcept { return pitch_; }
  // Input rows that so many output rows see, and the scratch that fill needs for them.
  [[nodiscard]] std::int64_t rows_for(std::int64_t outputs) const noexcept;
  [[nodiscard]] std::size_t scratch_bytes(std::int64_t outputs) const noexcept;

  // Writes the padded rows that output rows [first, last) of image `image` see to `scratch`.
  void fill(const StepArgs& args, std::int64_t image, std::int64_t first, std::int64_t last,
            std::uint8_t* scratch) const;

 private:
  // The input row, perhaps in the padding, that is the first one an output row sees.
  [[nodiscard]] std::int64_t first_row(std::int64_t output) const noexcept;

  WindowGeometry window_;
  std::int64_t channels_, left_, width_, pitch_;
  bool reals_, last_;
  float scale_ = 1.0f, inverse_ = 0.0f;
  std::int32_t zero_;  // Of reals.
  std::vector<float> factor_;
  std::vector<std::uint8_t> pad_;  // A row of zero points.
  const CodesU8Kernel* kernel_;
};

}  // namespace intact
