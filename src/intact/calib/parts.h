// parts.h: what a Concat joins would share one scale; parts of very different size must not.
//
// x = concat(x_1 .. x_n) along the channels of a product gets one Q. With widths r_i of the parts'
// ranges, part i has 255 r_i / max r codes left. When the widths differ by more than kMostRatio,
// every part keeps the scale that it would have alone: its channels are multiplied by
//
//   gain_i = max r / r_i                                                                       (24)
//
// before the Q and the weights that read them divided by it (gains.h). Add and Max need no such
// rule: they read float or dequantized values, each with the scale that it has.
#pragma once

#include <span>
#include <vector>

#include "passes/shape_analysis.h"

namespace intact {

inline constexpr double kMostRatio = 8;

// True for operators f that keep channels apart and for which f(g x) = g f(x) for every g > 0.
bool commutes_with_gain(const Node& node);

// Returns how many channels along `axis` each input of the Concat that makes `value` brings, seen
// through operators that commute with gains; empty when there is no such Concat, or its sizes are
// not known.
std::vector<std::size_t> find_parts(const Graph& graph, const ShapeAnalysis& types,
                                    const Uses& uses, ValueId value, int axis);

// Returns (24) by channel, or nothing when the widths are within kMostRatio. Parts that are always
// zero have gain 1.   min, max: [sum of parts]
std::vector<float> part_gains(std::span<const std::size_t> parts, std::span<const float> min,
                              std::span<const float> max);

}  // namespace intact
