#include "runtime/ops/image_rows.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/exact_inverse.h"

namespace intact {
namespace {

// With the slack that kernels may read behind it.
std::int64_t padded(std::int64_t bytes) {
  constexpr auto kAlign = static_cast<std::int64_t>(kAlignBytes);
  return (bytes + static_cast<std::int64_t>(kSlackBytes) + kAlign - 1) / kAlign * kAlign;
}

}  // namespace

ImageRows::ImageRows(const ValueInfo& x, double scale, const std::vector<std::int32_t>& zeros,
                     std::vector<float> factor, const Window& window, const CodesU8Kernel& kernel)
    : window_(window.geometry),
      channels_(x.shape[1]),
      left_(window_.pad_left),
      reals_(x.dtype == Dtype::kFloat32),
      last_(x.layout == Layout::kChannelsLast),
      scale_(static_cast<float>(scale)),
      zero_(zeros[0]),
      factor_(std::move(factor)),
      kernel_(&kernel) {
  if (reals_) inverse_ = exact_inverse(scale_);
  // Up to the last pixel that any window reaches, and the slack that kernels may read.
  const std::int64_t reach =
      (window_.out_w - 1) * window_.stride_w + (window_.kernel_w - 1) * window_.dilation_w + 1;
  width_ = std::max(left_ + window_.in_w, reach);
  pitch_ = padded(width_ * channels_);
  for (std::int64_t i = 0; i < width_; ++i)
    pad_.insert(pad_.end(), zeros.begin(), zeros.begin() + channels_);
}

std::int64_t ImageRows::rows_for(std::int64_t outputs) const noexcept {
  return (outputs - 1) * window_.stride_h + (window_.kernel_h - 1) * window_.dilation_h + 1;
}
std::int64_t ImageRows::first_row(std::int64_t output) const noexcept {
  return output * window_.stride_h - window_.pad_top;
}
std::size_t ImageRows::scratch_bytes(std::int64_t outputs) const noexcept {
  return static_cast<std::size_t>(rows_for(outputs) * pitch_);
}

void ImageRows::fill(const StepArgs& args, std::int64_t image, std::int64_t first,
                     std::int64_t last, std::uint8_t* scratch) const {
  const std::int64_t w = window_.in_w;
  const std::int64_t plane = window_.in_h * w;
  const std::int64_t rows = rows_for(last - first);
  QuantizePlanesArgs reals{.plane = plane,
                           .channels = channels_,
                           .count = w,
                           .scale = scale_,
                           .inverse = inverse_,
                           .zero = zero_,
                           .factor = factor_.empty() ? nullptr : factor_.data()};
  for (std::int64_t r = 0; r < rows; ++r) {
    std::uint8_t* row = scratch + r * pitch_;
    const std::int64_t y = first_row(first) + r;
    if (y < 0 || y >= window_.in_h) {
      std::memcpy(row, pad_.data(), pad_.size());
      continue;
    }
    std::uint8_t* pixels = row + left_ * channels_;
    std::memcpy(row, pad_.data(), static_cast<std::size_t>(left_ * channels_));
    std::memcpy(pixels + w * channels_, pad_.data(),
                static_cast<std::size_t>((width_ - left_ - w) * channels_));
    const std::int64_t at = image * channels_ * plane + y * w;
    if (last_) {
      const std::uint8_t* from = args.input<std::uint8_t>(0) + (image * plane + y * w) * channels_;
      std::memcpy(pixels, from, static_cast<std::size_t>(w * channels_));
    } else if (reals_) {
      reals.x = args.input<float>(0) + at;
      reals.y = pixels;
      kernel_->quantize_planes(reals);
    } else {
      kernel_->interleave(args.input<std::uint8_t>(0) + at, plane, channels_, w, pixels);
    }
  }
}

}  // namespace intact
