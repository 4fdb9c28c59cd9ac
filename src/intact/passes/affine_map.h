// affine_map.h: per-channel maps y = scale[c] x + shift[c], and the layers that can absorb them.
#pragma once

#include <optional>
#include <vector>

#include "passes/edit.h"

namespace intact {

struct AffineMap {
  std::vector<double> scale;
  std::vector<double> shift;
};

// A layer with constant weights, as fold() needs it.
struct Layer {
  enum class Kind { kConv, kConvTranspose, kGemm, kMatMul };
  Kind kind;
  std::size_t channels;      // Of the output.
  std::size_t output_rank;   // 0 when not known (MatMul: then constants speak of its last axis).
  std::size_t channel_axis;  // Counted from the end of the output's shape: 1 is the last axis.
};

// Returns the layer that the node is, or nothing: also when its weights or bias are not constants
// of a float type, or its bias varies along more than the channels.
std::optional<Layer> layer_of(const Graph& graph, const Node& node);

// Returns (1) of fold_batch_norm.cc, or nothing: training mode, parameters that are not constant,
// or a variance that gives no finite scale.
std::optional<AffineMap> batch_norm_map(const Graph& graph, const Node& node);

// Returns the map that the node (BatchNormalization, Mul, Div, Add, Sub) applies to its input
// `data_input` when that is the output of the layer, or nothing when it is no per-channel map.
std::optional<AffineMap> affine_map_of(const Graph& graph, const Node& node, std::size_t data_input,
                                       const Layer& layer);

// Returns a node that computes map(layer n), without outputs, to stand in place of the layer, which
// must go: constants that only it reads are changed. Nothing: no place for the shift (MatMul).
std::optional<Node> fold(Editor& editor, const Layer& layer, std::int32_t n, const AffineMap& map);

}  // namespace intact
