// check_types.h: refuses a model whose operators are given inputs of types that do not go together.
#pragma once

#include "intact/result.h"
#include "ir/graph.h"

namespace intact {

// Asked when a model is opened, so that it is not a run of it that finds out; what is not known of
// a type is not judged. Errors: kInvalidModel, naming the node.
Status check_types(const Graph& graph);

}  // namespace intact
