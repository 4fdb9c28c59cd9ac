// pipeline.h: which passes run, in which order, for each of the two uses of the graph compiler.
#pragma once

#include <span>
#include <string_view>

namespace intact {

// Before `quantize` looks at a float model. The result is written back to ONNX and must load
// elsewhere: only operators of the model's own opset, no change of precision, names of the
// surviving nodes kept.
std::span<const std::string_view> quantize_pipeline();

// Before a session packs and plans a model, float or quantized. Operators of the domain "intact"
// (ir/intact_ops.h) appear, and 4-D regions become channels-last.
std::span<const std::string_view> session_pipeline();

}  // namespace intact
