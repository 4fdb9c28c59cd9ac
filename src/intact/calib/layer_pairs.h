// layer_pairs.h: which values of a quantized graph stand for which values of the float graph, and
// the pieces of the quantized graph between them.
//
// Two values are a pair when they have the same name or, in files whose names were shortened, are
// the same output of nodes of the same name and operator, or of the only nodes that do the same
// with paired values. The piece of a value reaches back to the nearest paired values; shape
// arithmetic is repeated in each piece, so that every piece can be planned.
//
// quantize may have scaled the channels of a product so that its codes are used better; the next
// products divide the factors out again. Such values are pairs with a gain: quantized = gain[c] *
// float.
#pragma once

#include <map>
#include <vector>

#include "calib/run_graph.h"
#include "ir/graph.h"

namespace intact {

struct PairedValue {
  ValueId of_float = kNoValue;
  std::vector<float> gain;  // By channel (axis 1); empty: none.
};

// A value that is computed through a quantization.
struct QuantizedLayer {
  Piece piece;                           // Of the quantized graph; outputs[0] is the layer's value.
  std::vector<std::int32_t> quantizers;  // Its QuantizeLinear nodes on activations.
};

struct LayerPairs {
  std::map<ValueId, PairedValue> of;   // By value of the quantized graph.
  std::vector<QuantizedLayer> layers;  // In execution order.
};

Result<LayerPairs> pair_layers(const Graph& float_graph, const Graph& quantized);

}  // namespace intact
