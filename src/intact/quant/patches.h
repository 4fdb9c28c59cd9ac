// patches.h: sampled rows of what a convolution multiplies its weights with.
//
// Output position p of a convolution reads one patch of its input; written as a row in the order of
// ONNX weights (channel, kernel row, kernel column), the output is W row. Second moments and fits
// (moments.h, rounding.h) need some hundreds of such rows a sample, not all of them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace intact {

struct PatchGeometry {
  std::size_t batch = 1;
  std::size_t channels = 1;  // Of the whole input; groups read a part.
  std::size_t height = 1;    // A one-dimensional convolution has height 1.
  std::size_t width = 1;
  std::size_t kernel_h = 1;
  std::size_t kernel_w = 1;
  std::size_t stride_h = 1;
  std::size_t stride_w = 1;
  std::size_t dilation_h = 1;
  std::size_t dilation_w = 1;
  std::size_t pad_top = 0;  // Padding holds real 0.
  std::size_t pad_left = 0;
  std::size_t out_h = 1;
  std::size_t out_w = 1;
  bool channels_last = false;  // Layout of the input: [n, h, w, c], else [n, c, h, w].

  [[nodiscard]] std::size_t positions() const noexcept { return batch * out_h * out_w; }
};

// Returns min(total, wanted) different positions in [0, total), ascending: one from each of
// `wanted` equal strata, at a place that depends on total, wanted and seed alone.
std::vector<std::size_t> sample_positions(std::size_t total, std::size_t wanted,
                                          std::uint64_t seed = 0);

// Writes the patches of channels [first, first + count) at the given output positions.
//   x: the input   rows: [positions.size(), count * kernel_h * kernel_w]
void gather_patches(std::span<const float> x, const PatchGeometry& geometry,
                    std::span<const std::size_t> positions, std::size_t first, std::size_t count,
                    std::span<float> rows);

}  // namespace intact
