// raise_opset.h: the same model in ONNX opset 13, which per-channel scales need.
#pragma once

#include "ir/graph.h"

namespace intact {

// Rewrites operators whose attributes became inputs (Clip, Pad at 11; Squeeze, Unsqueeze, Split,
// ReduceSum at 13), and Softmax, whose meaning changed at 13. Newer graphs stay as they are.
// Errors: kUnsupported, naming a node that has no equal in opset 13.
Status raise_opset(Graph& graph);

}  // namespace intact
