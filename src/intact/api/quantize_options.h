// quantize_options.h: what QuantizeOptions say: whether they can be, and what they ask of a graph.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "intact/quantize.h"
#include "ir/graph.h"
#include "quant/range.h"

namespace intact {

// Errors: kInvalidArgument for a word or a number that is none of the option's, naming the choices.
Status check_options(const QuantizeOptions& options);

// Of everything that the file depends on but model and data.
std::uint64_t hash_options(const QuantizeOptions& options);

Result<RangeMethod> method_of(const QuantizeOptions& options);

// Gives the graph the inputs that the options ask for. Errors: kInvalidArgument, naming the input.
Status take_input_types(Graph& graph, const QuantizeOptions& options);

// Returns which outputs the options want as codes. Errors: kInvalidArgument, naming the output.
Result<std::vector<std::size_t>> byte_outputs_of(const Graph& graph,
                                                 const QuantizeOptions& options);

}  // namespace intact
