#include "runtime/ops/column_quantizer.h"

#include <algorithm>
#include <map>

#include "kernels/exact_inverse.h"

namespace intact {

ColumnQuantizer::ColumnQuantizer(std::span<const float> scale, std::span<const std::int32_t> zero)
    : scale_(scale.begin(), scale.end()), zero_(zero.begin(), zero.end()) {
  std::map<float, float> inverses;  // Few scales, many columns.
  for (const float s : scale_) {
    const auto [entry, added] = inverses.try_emplace(s, 0.0f);
    if (added) entry->second = exact_inverse(s);
    inverse_.push_back(entry->second);
  }
  if (std::find(inverse_.begin(), inverse_.end(), 0.0f) != inverse_.end()) inverse_.clear();
}

void ColumnQuantizer::run(const CodesU8Kernel& kernel, const float* x, std::ptrdiff_t x_stride,
                          std::int64_t rows, std::int64_t cols, std::int64_t first, std::uint8_t* y,
                          std::ptrdiff_t y_stride) const {
  const float* scale = scale_.data() + first;
  const std::int32_t* zero = zero_.data() + first;
  if (!inverse_.empty())
    return kernel.quantize_cols(
        {rows, cols, x, x_stride, scale, inverse_.data() + first, zero, y, y_stride});
  const QuantParams map{scale, zero, true, 0, 255};
  for (std::int64_t r = 0; r < rows; ++r)
    kernel.quantize(x + r * x_stride, 1, cols, map, y + r * y_stride);
}

}  // namespace intact
