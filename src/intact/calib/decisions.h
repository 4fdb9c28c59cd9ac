// decisions.h: everything that quantize decides, before a word of it is written.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "calib/observe.h"
#include "calib/placement.h"
#include "quant/range.h"
#include "quant/weights.h"

namespace intact {

struct TensorDecision {
  Affine map;
  std::vector<float> gain;  // Per channel, before the Q: codes are of gain * x. Empty: none.
};

struct SiteDecision {
  std::vector<std::int8_t> codes;  // As the weight tensor lies.
  std::vector<float> scales;       // By output channel.
  std::vector<double> bias;        // By output channel; empty: the node has none.
  std::string fit;                 // "w/rne", "refit/feedback", ...
  double error = 0;  // Relative squared error of its output on samples that did not decide it.
  double rounded_error = 0;  // The same for weights merely rounded to nearest.
};

struct Decisions {
  std::vector<TensorDecision> tensors;  // As Placement::tensors.
  std::vector<SiteDecision> sites;      // As Placement::sites.
  std::vector<Affine> operands;         // As Placement::operands.
};

// Activations of a target: 0..255 asymmetric for "any", symmetric int8 for "tensorrt".
RangeTarget activations_of(const std::string& target);

// The same for a side of a product of two activations, or an output.
RangeTarget target_of(const PairOperand& operand, const RangeTarget& activations);

struct Ranges {
  std::vector<Range> tensors;   // As Placement::tensors.
  std::vector<Range> operands;  // As Placement::operands.
};

// Ranges and rounding alone, no data beyond the observations (effort 0), which may be none: joined
// tensors of different size get their gains (parts.h), and biases put back the mean that rounding
// the weights took away (quant/correct.h (15), with the means of the float network on both sides).
// one_scale: all channels of a weight share the largest scale; for models so small that the scales
// themselves weigh. Errors: those of choose_range, naming the tensor.
Result<Decisions> decide_plainly(const Graph& graph, const Placement& placement,
                                 const Observations& seen, const Ranges& ranges,
                                 const RangeTarget& target, const WeightOptions& weights,
                                 bool one_scale = false);

// The target of one tensor: sums take the scales that sums need (quant/short_scale.h).
RangeTarget target_of(const QuantTensor& t, RangeTarget target);

// The map of a tensor whose channels are multiplied by `gain`, from their extremes.
Result<Affine> gained_map(const Observation& seen, std::span<const float> gain,
                          const RangeTarget& target);

// M of a site (gemm_site.h (20)), divided by the gains of its input; gain: by channel, or empty.
std::vector<float> gained_weights(const GemmSite& site, const Tensor& weight,
                                  std::span<const float> gain);

// Returns [|b| / (s_x 2^30)], the least weight scales that keep an int32 bias in range (numerics
// (4)); empty without bias.
std::vector<double> least_scales(std::span<const double> bias, float input_scale);

// True when all gains are equal, or there are none.
bool is_uniform(std::span<const float> gain);

// Raises all scales to the largest.
void share_scale(std::vector<float>& scales);

// The bias of a site in double, empty when it has none.
std::vector<double> bias_of(const Graph& graph, const GemmSite& site);

}  // namespace intact
