// byte_outputs.h: a float output becomes codes.
//
//   ... -> y: float                becomes      ... -> QuantizeLinear(s, z) -> y: uint8
//
// y keeps its name, and real y = s (code - z), the nearest code or the first or last one. s and z
// are in the file, as the words "uint8,scale=S,zero_point=Z" of its metadata under
// "intact.output.NAME" too: whoever compares it with the float model gets reals again.
#pragma once

#include <map>
#include <string>

#include "ir/graph.h"
#include "quant/affine.h"

namespace intact {

// Makes that output codes of the map, and keeps the words.
void code_output(Graph& graph, std::size_t output, const Affine& map);

// The maps that a file's metadata holds, by output; what is not readable is left out.
std::map<std::string, Affine> output_maps_of(const std::map<std::string, std::string>& metadata);

// Makes reals of the codes of such outputs: DequantizeLinear behind them, under the old name.
void dequantize_outputs(Graph& graph);

}  // namespace intact
