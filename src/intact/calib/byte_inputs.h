// byte_inputs.h: a float input becomes the bytes that it is made of.
//
// take_bytes gives the graph a uint8 input and computes the reals of it:
//
//   x: uint8 -> [Transpose] -> Cast -> Mul -> Add -> what read the float input
//
// fold_bytes moves that chain, and whatever the model itself does per channel before its first
// layer (Mul, Add, Sub, Div, Transpose), into the convolutions that read its end. Where the chain
// gives v[c] = a[c] (byte - z[c]), with a real z,
//
//   x: uint8 -> [Transpose] -> DequantizeLinear(s, Z) -> Conv(W', b')
//   W'[o,c] = W[o,c] a[c] / s     b'[o] = b[o] + sum_c,t W[o,c,t] a[c] (Z[c] - z[c])           (24)
//
// is the same function of the bytes, for any s and Z: nothing is rounded but the new weights, and
// the input's bytes are the layer's codes. Only padding, whose real is 0, must be a byte of its
// channel: Z[c] = rne(z[c]), a zero point a channel when they differ.
#pragma once

#include <string>

#include "ir/graph.h"
#include "quant/byte_map.h"

namespace intact {

// Errors: kInvalidArgument when the input is not float32, or its shape does not fit the map.
Status take_bytes(Graph& graph, std::size_t input, const ByteMap& map);

// Folds the chain behind the uint8 input. Returns nothing, or why the chain stays float: then it is
// computed, and rounded to codes again. The opset must be 13 or newer.
Result<std::string> fold_bytes(Graph& graph, std::size_t input);

}  // namespace intact
