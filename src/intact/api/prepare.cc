#include "api/prepare.h"

#include <array>

#include "kernels/gemm_bf16.h"
#include "passes/check_types.h"
#include "passes/pass.h"
#include "passes/pipeline.h"
#include "runtime/plan.h"

namespace intact {

Result<std::shared_ptr<Engine>> prepare(Graph graph, const EngineOptions& options,
                                        bool fast_float) {
  INTACT_TRY(check_types(graph));
  PassContext context{.evaluate = evaluate_node};
  INTACT_TRY(run_passes(graph, session_pipeline(), context));
  constexpr std::array<std::string_view, 1> kFastFloat = {"fast_float"};
  if (fast_float && gemm_bf16() != nullptr) INTACT_TRY(run_passes(graph, kFastFloat, context));
  INTACT_TRY(check_operators(graph));
  graph.compact();
  auto engine = std::make_shared<Engine>(std::move(graph), options);
  INTACT_TRY(engine->warm_up());
  return engine;
}

Status prepare_for_quantization(Graph& graph) {
  INTACT_TRY(check_types(graph));
  PassContext context{.evaluate = evaluate_node};
  INTACT_TRY(run_passes(graph, quantize_pipeline(), context));
  INTACT_TRY(check_operators(graph));
  graph.compact();
  return {};
}

}  // namespace intact
