// write_qdq.h: decisions to standard ONNX: QuantizeLinear, DequantizeLinear, int8 and int32
// constants.
#pragma once

#include "calib/decisions.h"

namespace intact {

struct WriteOptions {
  bool float_bias = false;           // TensorRT's form; otherwise int32 by numerics (5).
  bool short_names = false;          // Tensors inside of the graph get names of a few letters.
  ScaleSet scales = ScaleSet::kAny;  // Of weights: where gains or biases change them.
  bool one_scale = false;            // Weights whose channels have equal scales get one scalar.
  std::int64_t least_table = 65536;  // Gather tables of more elements become int8, a scale a row.
};

// Rewrites the graph that the placement was made for. Its opset must be 13 or newer.
// Errors: kInvalidArgument when an accumulator could overflow, naming the node and the channel.
Status write_qdq(Graph& graph, const Placement& placement, Decisions decisions,
                 const WriteOptions& options);

}  // namespace intact
