// pass.h: a rewriting of a graph that keeps what it computes.
//
// A pass is a name, a one-line summary and a function. It may assume a verified graph in execution
// order and leaves one. Graph inputs and outputs keep their names and order. "Keeps what it
// computes": equal as real arithmetic; where floats are involved a pass may round differently
// (a folded BatchNormalization), never approximate.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/tensor.h"
#include "intact/result.h"
#include "ir/graph.h"

namespace intact {

// Runs one node on tensors (an undefined tensor stands for an omitted input) and returns its
// outputs. The runtime supplies it; passes know no kernels. The graph gives opset and types.
using EvaluateNode = std::function<Result<std::vector<Tensor>>(
    const Node&, std::span<const Tensor> inputs, const Graph&)>;

struct PassContext {
  EvaluateNode evaluate;  // May be empty: then nothing is evaluated ahead of time.

  // A folded value larger than this is kept as a node, unless its inputs are at least half as
  // large.
  std::size_t max_folded_bytes = std::size_t{64} << 20;
  // The same for the operators that make much from little (ConstantOfShape, Expand, Tile, Range).
  std::size_t max_expanded_bytes = std::size_t{1} << 20;
};

struct Pass {
  std::string_view name;
  std::string_view summary;
  Status (*run)(Graph&, PassContext&);
};

// Runs the passes of those names in order and verifies the graph after each. Errors:
// kInvalidArgument for an unknown name; a pass's own error, with its name as context. A graph that
// a pass broke is our bug and throws InternalError naming the pass.
Status run_passes(Graph& graph, std::span<const std::string_view> names, PassContext& context);

}  // namespace intact
