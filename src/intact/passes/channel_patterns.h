// channel_patterns.h: chains of Reshape and Transpose that only look at the channels.
//
// Written for plain tensors, they would drag a channels-last region back into plain order; told in
// terms of [N, spatial..., C] they are views, or channels in another order.
#pragma once

#include <map>

#include "passes/shape_analysis.h"

namespace intact {

struct ChannelPattern {
  // kShuffle: [N,C,s..] -> Reshape [N,g,C/g,s..] -> Transpose 0,2,1,.. -> Reshape [N,C,s..]
  //           (ShuffleNet). In one pixel: a [g, C/g] matrix is transposed.
  // kRows:    [1,C,s..] -> Reshape [C,S] -> Transpose 1,0: one row of C a pixel (detection heads).
  enum class Kind { kShuffle, kRows };
  Kind kind;
  std::int64_t channels;
  std::int64_t groups;             // kShuffle only.
  std::vector<std::size_t> nodes;  // In order; the first is the Reshape that begins it.
};

// Finds them all, by the index of their first node. Nothing else reads the values in between.
std::map<std::size_t, ChannelPattern> find_channel_patterns(const ShapeAnalysis& known);

}  // namespace intact
