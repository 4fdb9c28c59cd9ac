// correct.h: putting back the mean that rounding took away.
//
// Layer y = W x + b, quantized y^ = W^ x^ + b^. The mean of y^ - y over the data is restored by
//
//   b^[n] = b[n] + sum_k W[n,k] E[x_k] - sum_k W^[n,k] E[x^_k]                                 (15)
//
// With E[x^] = E[x] this is b - (W^ - W) E[x], equation 17 of Nagel et al., ICCV 2019; with the
// means that the quantized network really feeds the layer it also removes the errors of the layers
// before. For a convolution E[x_k] of kernel tap k is its input channel's mean (padding is ignored)
// or the mean over the taps that were really read, when the caller has it.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace intact {

// The weights of a layer as `groups` matrices [rows, taps] one below the other: row n belongs to
// group n / rows and reads taps of that group's input channels. Convolution [M, C / groups, kh,
// kw]: rows = M / groups, taps = C / groups * kh * kw, spatial = kh * kw. Linear [N, K]: spatial
// = 1.
struct WeightMatrix {
  std::size_t groups = 1;
  std::size_t rows = 1;     // Output channels of a group.
  std::size_t taps = 1;     // Products of one output.
  std::size_t spatial = 1;  // Consecutive taps that read one input channel; divides taps.
};

// Returns the change of the bias by (15), in double: [groups * rows].
//   w, w_hat: [groups, rows, taps]   mean, mean_hat: [groups * taps / spatial], by input channel,
//   or [groups * taps], by tap.
std::vector<double> bias_correction(std::span<const float> w, std::span<const float> w_hat,
                                    const WeightMatrix& shape, std::span<const double> mean,
                                    std::span<const double> mean_hat);

}  // namespace intact
