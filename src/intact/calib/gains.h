// gains.h: the range of a tensor, and gains that even out its channels, chosen by what they cost.
//
// Candidates: the range of the method and minmax (which loses only when the method is better by
// 20 %), and for alpha in {1/2, 3/4, 1} minmax after the gains
//
//   c = a^alpha / w^(1 - alpha),  gain = max(c) / max(c, max(c) / 16)                          (22)
//
// a: the channel's largest magnitude over all calibration samples; w: the largest weight that reads
// it; both at least 1/1000 of their maximum over channels. With depthwise readers alone c =
// a^alpha. A candidate's cost: the error of the readers' outputs on judging samples, with their
// weights rounded to nearest. Gains are taken when they save 10 %. They need readers that are all
// products (or the tensor's float form next to the codes) and at least 512 values seen of each
// channel.
//
// Where scales have few bits (quant/short_scale.h), the products that make a tensor absorb what its
// scale is off by: the choice is made with free scales, then the scale becomes a near one of the
// set, and gains make up for it, as far as the makers' own scales allow (their codes stay); of the
// near scales the one with the least cost wins. On an input of the graph a Mul does that where it
// saves 10 %. Elsewhere the scales around the method's compete by cost, and gains are powers of 2.
#pragma once

#include "base/page_vector.h"
#include "base/thread_pool.h"
#include "calib/decisions.h"

namespace intact {

struct GatheredRows {
  PageVector<float> x;      // Of the float network, [*, groups * taps].
  PageVector<float> x_hat;  // Of the quantized one, before this tensor is rounded.
};

struct RangeChoice {
  const Graph& graph;
  const Placement& placement;
  std::size_t tensor;  // Into placement.tensors.
  const Observation& seen;
  RangeTarget target;
  Range range;            // By the range method.
  WeightOptions weights;  // The set of their scales counts.
  TensorDecision plain;   // Its gains are those that joined tensors need.
  bool also_minmax = true;
  bool gains = true;
  std::vector<GatheredRows> readers;  // As the tensor's readers.
  std::vector<double> alphas;         // Empty: those above.
  // The scales of the weights that make each channel and will take its gain; empty: none will.
  std::vector<float> maker_scales;
};

Result<TensorDecision> choose_map(const RangeChoice& choice, ThreadPool& pool);

// The codes of x times the gains, int8 or uint8.
Tensor codes_of_tensor(const Tensor& x, int channel_axis, const TensorDecision& decision);

}  // namespace intact
