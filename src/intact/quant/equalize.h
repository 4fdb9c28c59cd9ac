// equalize.h: scales that move range between neighbouring layers, leaving the float network as is.
//
// Positive homogeneity: for s > 0 and f = identity, Relu, LeakyRelu or PRelu, f(s x) = s f(x), so
// dividing output channel i of one layer (weights and bias) by s_i and multiplying input channel i
// of the next by s_i changes nothing but the ranges that quantization sees.
//
//   two layers:    s_i = sqrt(r1_i / r2_i)                                                     (11)
//     r1_i, r2_i: max |w| of output channel i of the first and input channel i of the second;
//     both become sqrt(r1_i r2_i). Nagel, van Baalen, Blankevoort, Welling: Data-Free Quantization
//     Through Weight Equalization and Bias Correction, ICCV 2019, section 4.1.
//   three layers:  s_i = r1_i / g_i, t_i = g_i / r3_i, g_i = cbrt(r1_i r2_i r3_i) (12)
//     for convolution, depthwise, convolution: divide 1 by s, multiply 2 by s / t, multiply 3 by t.
//   smoothing:     s_i = max|x_i|^a / max|w_i|^(1 - a) (13)
//     divide input channel i by s_i, multiply the weights that read it by s_i. Xiao, Lin et al.:
//     SmoothQuant, ICML 2023, equation 4.
//   channel gains: v_i = 1 / max(c_i / max c, lowest), c as s in (13) (13v)
//     with a and w floored at a share of their largest, so that v is in [1, 1 / lowest]: multiply
//     the tensor's channel i by v_i before its Q, divide the weights that read it by v_i.
//
// Safeguards, the same for all: a channel whose ranges are zero, subnormal or not finite gets 1;
// every scale is clamped to [1 / limit, limit].
#pragma once

#include <span>
#include <vector>

#include "quant/scheme.h"

namespace intact {

struct EqualizeOptions {
  double limit = 1024.0;       // > 1.
  bool powers_of_two = false;  // Round every scale to the nearest power of two: exact in float.
};

// Returns (11).   r1, r2: [channels], >= 0
std::vector<float> equalization_scales(std::span<const float> r1, std::span<const float> r2,
                                       const EqualizeOptions& options = {});

struct DepthwiseScales {
  std::vector<float> first;   // s: divides the first layer.
  std::vector<float> second;  // t: multiplies the third.
};

// Returns (12).   r1, r2, r3: [channels], >= 0
DepthwiseScales equalization_scales(std::span<const float> r1, std::span<const float> r2,
                                    std::span<const float> r3, const EqualizeOptions& options = {});

// Returns (13).   x_absmax, w_absmax: [channels], >= 0   alpha in [0, 1]
std::vector<float> smoothing_scales(std::span<const float> x_absmax,
                                    std::span<const float> w_absmax, double alpha,
                                    const EqualizeOptions& options = {});

struct ChannelGainOptions {
  double floor = 1e-3;         // Of a and of w, relative to their maxima; keeps dead channels tame.
  double lowest = 1.0 / 16.0;  // Of c relative to its maximum: no gain above 1 / lowest.
};

// Returns v of (13v): [channels].   x_absmax: a   w_absmax: w, or empty when the weights have a
// scale for each channel anyway (depthwise consumers): then c = a^alpha   alpha in [0, 1]
// All ones when a or w is zero everywhere or not finite.
std::vector<float> channel_gains(std::span<const float> x_absmax, std::span<const float> w_absmax,
                                 double alpha, const ChannelGainOptions& options = {});

struct ScaledRange {
  float lo = 0.0f;
  float hi = 0.0f;
};

// Returns the range, widened to 0, of a tensor whose channels are multiplied by their gains.
//   min, max, gains: [channels]
ScaledRange scaled_range(std::span<const float> min, std::span<const float> max,
                         std::span<const float> gains);

// Returns max |w| of each channel of the view.
std::vector<float> channel_absmax(std::span<const float> w, const AxisView& view);

// Multiplies (or divides) each channel of the view by its factor.   factors: [view.channels]
void multiply_channels(std::span<float> w, const AxisView& view, std::span<const float> factors);
void divide_channels(std::span<float> w, const AxisView& view, std::span<const float> factors);

// Returns the part of a channel's mean that a Relu passes almost always and that the next layer's
// bias can carry instead:  c_i = max(0, mean_i - 3 deviation_i)                                (14)
// Subtract c from the first layer's bias, add W2 c to the second's. ICCV 2019, section 4.1.3.
std::vector<float> absorbable_bias(std::span<const float> mean, std::span<const float> deviation);

}  // namespace intact
