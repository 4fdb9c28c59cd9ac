// export_graph.h: a graph to a GraphProto.
#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "intact/result.h"
#include "ir/graph.h"
#include "onnx/onnx.pb.h"

namespace intact {

// Fills `out` with everything but the initializers of the outermost graph, which the caller writes
// beside it without copying them. Requires a graph that verify() accepts.
// Errors: kUnsupported for what ONNX cannot say (export.h).
Status export_graph(const Graph& graph, proto::GraphProto& out);

// Fills in all of a tensor but its data.
void export_tensor_header(const std::string& name, const Tensor& tensor, proto::TensorProto& out);

}  // namespace intact
