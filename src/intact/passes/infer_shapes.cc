// infer_shapes: writes into every value what is known of its type and shape before a run.
//
// Other passes make their own analysis (shape_analysis.h) when they need one, because it is cheap
// and never stale; this pass leaves it in the graph for those who only read: layout assignment, the
// planner, `inspect`. Never required, never a guess: what is not known stays unknown.
#include "passes/registry.h"
#include "passes/shape_analysis.h"

namespace intact {

Status infer_shapes(Graph& graph, PassContext&) {
  const ShapeAnalysis known(graph);
  for (const Node& node : graph.nodes)
    for (const ValueId v : node.outputs) {
      if (v == kNoValue) continue;
      const Known& k = known[v];
      ValueType& type = graph.value(v).type;
      if (k.dtype != Dtype::kUndefined) type.dtype = k.dtype;
      if (!k.shape) continue;
      // What a model declares beyond that (a name for a computed dimension) stays.
      const bool same_rank = type.shape && type.shape->size() == k.shape->size();
      Dims shape = *k.shape;
      for (std::size_t i = 0; i < shape.size(); ++i)
        if (is_made_up(shape[i])) shape[i] = same_rank ? (*type.shape)[i] : Dim();
      type.shape = std::move(shape);
    }
  return {};
}

}  // namespace intact
