// parse.h: .qir text (print.h) to a graph.
//
// Beyond what print_graph writes, constants may be made up, so that tests stay small:
//   splat(0.5)            every element 0.5
//   iota                  0, 1, 2, ... (integer and 32- and 64-bit float types)
//   random(seed)          floats in [-1, 1); int4, uint4, int8, uint8 over their whole range,
//                         wider integers in [-128, 127] or [0, 255]; bool false or true
//   random(seed, lo, hi)  floats in [lo, hi), integers in [lo, hi]
// random depends on nothing but seed and index (synthetic.h).
//
// Statements may come in any order and nodes may be out of execution order; names must be defined
// exactly once. Inputs, constants and outputs may leave out the type: `input %x`.
#pragma once

#include <cstddef>
#include <string_view>

#include "intact/result.h"
#include "ir/graph.h"

namespace intact {

struct ParseOptions {
  std::size_t max_constant_bytes = std::size_t{1} << 28;  // All constants together.
};

// Returns the graph. `text` is one `graph "name" {...}` with nothing behind it but blanks and
// comments. Never fails in another way than by Result, whatever the bytes.
// Errors: kInvalidArgument with "line L, column C" as context.
Result<Graph> parse_graph(std::string_view text, const ParseOptions& options = {});

}  // namespace intact
