// layout_traits.h: which operators want which order of elements in memory.
#pragma once

#include "passes/shape_analysis.h"

namespace intact {

enum class LayoutKind : std::uint8_t {
  kPlain,    // Reads and writes plain tensors: Reshape, MatMul, unknown operators, ...
  kSpatial,  // Input 0 and output 0 are channels-last: Conv, pools, Resize, ...
  kFollow,   // Works in any order: all tensors of the output's rank share one.
  kNoData,   // Reads the shape alone: Shape, Size.
};

// What this node is, in this graph. Spatial operators of rank 2 or of unknown rank are kPlain, and
// so are operators that usually follow where their meaning depends on the order (Softmax before
// opset 13 flattens, MaxPool with indices counts elements, ReduceMean without keepdims drops axes).
LayoutKind layout_kind(const ShapeAnalysis& known, const Node& node);

// True for a Reshape whose output keeps axes 0 and 1 of its input and has rank 3 or more: for it
// the bytes of a channels-last tensor are the same before and after.
bool keeps_batch_and_channels(const ShapeAnalysis& known, const Node& node);

// 0, 2, ..., rank - 1, 1: what the axes of a channels-last tensor are in memory.
std::vector<std::int64_t> to_last_perm(std::size_t rank);
// 0, rank - 1, 1, ..., rank - 2: its inverse.
std::vector<std::int64_t> from_last_perm(std::size_t rank);

}  // namespace intact
