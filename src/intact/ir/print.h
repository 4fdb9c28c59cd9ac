// print.h: a graph as .qir text, the form that tests compare and people read.
//
//   graph "resnet" {
//     opset 17                                     // of ONNX's default domain
//     opset intact 1
//     input %x: float32[N,3,32,32]                 // a size: 3, N, "past + 1", or ? (nothing said)
//     const %w: float32[2] = [0.5, -1]
//     const %k: int8[64,3,3,3] quant(scale=[0.5], zero_point=[0]) = dense<hash=0f1e2d3c4b5a6978>
//     %y: float32[N,3,32,32] channels_last = Conv(%x, %w, _) {group=1, strides=[1, 1]} @conv1
//     %z: int32[*] = If(%c | %y) {else_branch=graph "e" {...}, then_branch=graph "t" {...}}
//     output %z
//   }
//
// One line a node: outputs = [domain.]Op(inputs | captured) {attributes} @name. `_` is an omitted
// input or output. `[*]` is a shape of unknown rank; no type at all means that nothing is known.
// Attributes: 1 is an integer, 1.0 a float, "s" a string, [1, 2] [1.0, 2.0] ["s"] lists (empty
// ones:
// [] ints[], floats[], strings[]), tensor<float32[2]> [1, 2], graph "name" {...}.
// Names with unusual characters are quoted: %"a b". `//` starts a comment.
//
// Constants: every element when there are at most `inline_elements`, else splat(x) or iota where
// the elements are equal or 0, 1, 2, ...; else a hash of the bytes, which a person can compare and
// parse_graph refuses, since the data is not there.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "ir/graph.h"

namespace intact {

// For PrintOptions::inline_elements: a text that parses back to the same graph.
inline constexpr std::int64_t kPrintAllElements = std::numeric_limits<std::int64_t>::max();

struct PrintOptions {
  std::int64_t inline_elements = 16;
};

// Returns the text. Values that nothing refers to are left out. Accepts any graph, also one that
// verify() refuses, so that a broken graph can be looked at.
std::string print_graph(const Graph& graph, const PrintOptions& options = {});

// Returns "float32[N,3] channels_last", or "" when nothing is known.
std::string print_type(const ValueType& type);

// Returns one node as in print_graph, without indentation, for messages and reports.
std::string print_node(const Graph& graph, const Node& node, const PrintOptions& options = {});

}  // namespace intact
