// import_type.h: what a model says about the type of a value.
#pragma once

#include "intact/result.h"
#include "ir/graph.h"
#include "onnx/onnx.pb.h"

namespace intact {

// Returns dtype and shape. `strict` (inputs and outputs of the model) refuses types that are no
// tensors or that intact does not know; otherwise those give an unknown type.
// Errors: kUnsupported as said; kInvalidModel for sizes that are negative or make a tensor of more
// than 2^40 elements. Messages say "it" for the value.
Result<ValueType> type_from_onnx(const proto::TypeProto& type, bool strict);

}  // namespace intact
