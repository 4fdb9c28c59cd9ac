// prepare.h: from a graph to an engine: the passes with the runtime as their evaluator.
#pragma once

#include <memory>

#include "ir/graph.h"
#include "runtime/engine.h"

namespace intact {

// Runs the session pipeline and makes the engine. Errors: those of check_types (passes) and
// check_operators (runtime), before anything is run, and of planning.
// fast_float: float products in BF16 where this machine has it.
Result<std::shared_ptr<Engine>> prepare(Graph graph, const EngineOptions& options,
                                        bool fast_float = false);

// Runs the pipeline that comes before quantization; the result is ONNX again. Errors as above.
Status prepare_for_quantization(Graph& graph);

}  // namespace intact
