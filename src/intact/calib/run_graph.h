// run_graph.h: engines for float graphs and pieces of them.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "ir/graph.h"
#include "runtime/engine.h"

namespace intact {

// The session pipeline and the engine.
Result<std::shared_ptr<Engine>> make_engine(Graph graph, const EngineOptions& options);

// A copy of the graph with these values as further outputs, in order; those that are outputs
// already are repeated.
Graph with_outputs(const Graph& graph, std::span<const ValueId> values);

// What replaces values in a piece.
struct Piece {
  std::vector<std::int32_t> nodes;  // Of the graph, ascending.
  std::vector<ValueId> inputs;      // Become the inputs, in order.
  std::vector<ValueId> outputs;     // Become the outputs, in order.
};

// The nodes of a piece as a graph of its own. With `first` the first of its inputs is put in the
// place of input 0 of that node alone; other nodes that read the same value find it further on.
Graph cut(const Graph& graph, const Piece& piece, std::int32_t first = -1);

}  // namespace intact
