// byte_map.h: image bytes as the real numbers that a float model was trained on, and back.
//
//   x[c] = (byte * scale - mean[c]) / std[c]                                                  (30)
//
// the last step of every image pipeline, and the words of --images. It is affine and increasing in
// a byte (decreasing for a negative scale), so nothing of it need be computed at run time: it is
// part of the first layer's weights, bias and zero point (calib/byte_inputs.h).
#pragma once

#include <array>

#include "base/tensor.h"
#include "intact/result.h"

namespace intact {

struct ByteMap {
  bool nhwc = false;  // The bytes are [N, H, W, C] where the float model takes [N, C, H, W].
  double scale = 1;
  std::array<double, 3> mean{0, 0, 0};  // All the same: for any number of channels.
  std::array<double, 3> std{1, 1, 1};

  // True when every channel has the same mean and std.
  [[nodiscard]] bool is_uniform() const noexcept;
  // (30) as x = slope byte + shift.
  [[nodiscard]] double slope(std::size_t channel) const noexcept;
  [[nodiscard]] double shift(std::size_t channel) const noexcept;
  bool operator==(const ByteMap&) const = default;
};

// The axis of the float model's input that holds the three channels: 1 or the last. Sizes below 0
// are open. Errors: kInvalidArgument when neither has three indices.
Result<std::size_t> channel_axis(std::span<const std::int64_t> dims);

// Returns the bytes nearest to float32 reals (half to even), in the order of the bytes' layout.
// Errors: kDataMismatch naming a value that is more than half a byte outside of 0..255, or a shape
// that does not fit.
Result<Tensor> bytes_of(const Tensor& reals, const ByteMap& map);

// Returns (30) in double, rounded once to float32, in the order of the float model.
// Errors: kDataMismatch for a shape that does not fit.
Result<Tensor> reals_of(const Tensor& bytes, const ByteMap& map);

}  // namespace intact
