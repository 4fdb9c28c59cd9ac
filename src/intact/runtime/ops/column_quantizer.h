// column_quantizer.h: QuantizeLinear with a map a column, as ONNX divides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/codes_u8.h"

namespace intact {

class ColumnQuantizer {
 public:
  ColumnQuantizer() = default;
  ColumnQuantizer(std::span<const float> scale, std::span<const std::int32_t> zero);

  [[nodiscard]] bool empty() const noexcept { return scale_.empty(); }

  // Quantizes [rows, cols] reals whose column 0 is column `first` of the maps.
  void run(const CodesU8Kernel& kernel, const float* x, std::ptrdiff_t x_stride, std::int64_t rows,
           std::int64_t cols, std::int64_t first, std::uint8_t* y, std::ptrdiff_t y_stride) const;

 private:
  std::vector<float> scale_;
  std::vector<float> inverse_;  // exact_inverse of the scales; empty where one has none.
  std::vector<std::int32_t> zero_;
};

}  // namespace intact
