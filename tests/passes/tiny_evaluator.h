// tiny_evaluator.h: the few operators that the texts of this folder let fold_constants evaluate.
#pragma once

#include "passes/pass.h"

namespace intact {

// Add, Mul, Cast, Concat (axis 0), ConstantOfShape, Gather (scalar or vector from a vector),
// Reshape, Transpose of a matrix, QuantizeLinear of a scalar scale. Everything else is
// kUnsupported.
Result<std::vector<Tensor>> evaluate_tiny(const Node& node, std::span<const Tensor> inputs,
                                          const Graph& graph);

}  // namespace intact
