// weights.h: scales and codes of weights and biases, and the proof that accumulators hold.
//
//   s[n] = max(absmax[n] / 127, |b[n]| / (s_x 2^30), 2^-100)   z = 0, codes [-127, 127]        (4)
//   bias code = rne(b[n] / (s_x s[n]))   int32, zero point 0                                    (5)
//   proof:   sum_k |w[n,k]| max(z_x - lo, hi - z_x) + |bias[n]| < 2^31   for every channel (5p)
//
// The second term of (4) keeps |bias code| <= 2^30: half of int32 is left for the products. The
// third keeps every scale a normal float, so that a dead channel is harmless. 127 stands for
// codes.hi: 7 for int4. Derivations: docs/maths/affine.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "quant/affine.h"
#include "quant/scheme.h"
#include "quant/short_scale.h"

namespace intact {

inline constexpr double kMinWeightScale = 0x1p-100;

enum class WeightRange : std::uint8_t {
  kMinmax,  // absmax / 127
  kMse,     // The scale whose codes have the least sum of squared errors; see below.
};

struct WeightOptions {
  WeightRange range = WeightRange::kMinmax;
  CodeRange codes{-127, 127};  // Symmetric: lo = -hi.
  // kWeight: of the two members around the scale that the range gives, the one with the least
  // E(s) below, unless the other two terms of (4) need the larger one. Channels only.
  ScaleSet scales = ScaleSet::kAny;
};

// Returns one scale a channel by (4).   w: view.size() values   bias: empty or [channels]
// input_scale: s_x of the layer's input; ignored without bias.
//
// With kMse the first term is the s that minimises
//
//   E(s) = sum_k importance[k] (w_k - s clamp(rne(w_k / s)))^2 (4m)
//
// over 64 equal steps in [max(1/4, 1 - sqrt(K) / (2 hi)), 1] absmax / hi (no smaller s can win when
// importance is constant), followed by least-squares polishing s = <w,q> / <q,q> while E falls.
// importance: empty (all 1) or [outer * inner], e.g. the mean square of each input, >= 0.
// Errors: kInvalidArgument when a weight, a bias or input_scale is not finite (names the channel).
Result<std::vector<float>> choose_weight_scales(std::span<const float> w, const AxisView& view,
                                                std::span<const float> bias, float input_scale,
                                                const WeightOptions& options = {},
                                                std::span<const float> importance = {});

// Returns the one scale that serves all channels: (4) with the maximum over them; kMse minimises
// (4m) over the whole tensor.
Result<float> choose_weight_scale(std::span<const float> w, const AxisView& view,
                                  std::span<const float> bias, float input_scale,
                                  const WeightOptions& options = {});

// Returns one scale a group (scheme.h), for weights without an integer bias.
Result<std::vector<float>> choose_group_scales(std::span<const float> w, const AxisView& view,
                                               std::size_t group,
                                               const WeightOptions& options = {});

// Writes the codes by (2) with zero point 0.   scales: [channels], or one for all.
void quantize_weights(std::span<const float> w, const AxisView& view, std::span<const float> scales,
                      CodeRange codes, std::span<std::int8_t> q);

// Returns (5).   bias: [n]   weight_scales: [n], or one for all.
// Errors: kInvalidArgument when a code leaves int32, naming the channel; cannot happen with (4).
Result<std::vector<std::int32_t>> quantize_bias(std::span<const float> bias, float input_scale,
                                                std::span<const float> weight_scales);
// The same for a bias kept in double, e.g. after bias correction.
Result<std::vector<std::int32_t>> quantize_bias(std::span<const double> bias, float input_scale,
                                                std::span<const float> weight_scales);

// Returns the first channel that fails (5p), or nothing when all hold. With it no accumulator can
// leave int32 whatever the input codes are; partial sums may wrap, they are modulo 2^32.
//   w: codes with zero point weight_zero[n] (empty: 0; one: shared)   bias: empty or [channels]
template <Code T>
std::optional<std::size_t> find_overflow(std::span<const T> w, const AxisView& view,
                                         std::span<const std::int32_t> weight_zero,
                                         std::span<const std::int32_t> bias, const Affine& input);

}  // namespace intact
