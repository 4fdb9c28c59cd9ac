// unary.h: the float functions of one value that operators and chains name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "ir/graph.h"
#include "kernels/elementwise_f32.h"

namespace intact {

// Returns the function that a unary node of ONNX's domain or ours stands for, with its parameters;
// nothing when the node is not one. Relu and Clip with constant bounds are among them.
std::optional<UnaryF32> unary_of(const Node& node);

// Returns the function of that name with these parameters, as chains carry it.
std::optional<UnaryF32> unary_by_name(std::string_view op, float alpha, float beta);

}  // namespace intact
