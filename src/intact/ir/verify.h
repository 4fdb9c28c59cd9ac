// verify.h: what is true of every graph between passes.
//
// - Ids are in range; names of values are unique and not empty.
// - Single assignment: every value that is used is exactly one of a graph input, a constant, the
//   output of one node; a node comes after those whose outputs it reads.
// - A constant has the dtype and shape that its value says, in plain layout.
// - Channels-last values have a known rank of at least 3. Sizes are >= 0 or unknown.
// - Quant: an integer value; as many scales as zero points: one (axis -1) or the size of the axis;
//   scales finite and > 0; zero points are codes of the type.
// - Integer nodes of our own domain (intact.QConv...) know the maps of the codes that they read.
// - Attributes hold a tensor or graph where they say so. Bodies (graph.h, Node::num_captured) take
//   at least the captured values and are verified too.
// Whether a node has the inputs and attributes that its operator asks for is not known here: the
// table of operators in runtime/ and shape inference check it.
#pragma once

#include "intact/result.h"
#include "ir/graph.h"

namespace intact {

// Returns nothing, or the first thing that is not true. Errors: kInvalidModel; the context names
// the graph's node, the message the value.
Status verify(const Graph& graph);

}  // namespace intact
