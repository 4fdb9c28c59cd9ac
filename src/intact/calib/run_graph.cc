#include "calib/run_graph.h"

#include <algorithm>
#include <map>

#include "passes/pass.h"
#include "passes/pipeline.h"
#include "runtime/plan.h"

namespace intact {

Result<std::shared_ptr<Engine>> make_engine(Graph graph, const EngineOptions& options) {
  PassContext context{.evaluate = evaluate_node};
  INTACT_TRY(run_passes(graph, session_pipeline(), context));
  graph.compact();
  return std::make_shared<Engine>(std::move(graph), options);
}

Graph with_outputs(const Graph& graph, std::span<const ValueId> values) {
  Graph copy = graph.clone();
  for (const ValueId v : values) {
    const bool listed = std::count(copy.outputs.begin(), copy.outputs.end(), v) > 0 ||
                        std::count(copy.inputs.begin(), copy.inputs.end(), v) > 0;
    if (!listed && !copy.value(v).constant) {
      copy.outputs.push_back(v);
      continue;
    }
    // An Identity, because an output is neither an input nor another output.
    Node identity;
    identity.op = "Identity";
    identity.inputs = {v};
    const ValueType type = copy.value(v).type;
    copy.outputs.push_back(copy.add_node(std::move(identity), copy.value(v).name + "/seen", type));
  }
  return copy;
}

Graph cut(const Graph& graph, const Piece& piece, std::int32_t first) {
  Graph g;
  g.name = graph.name;
  g.opsets = graph.opsets;
  g.ir_version = graph.ir_version;
  std::map<ValueId, ValueId> ids;
  const auto copy_value = [&](ValueId v) {
    const auto [it, added] = ids.try_emplace(v, kNoValue);
    if (added) {
      it->second = g.add_value(graph.value(v).name, graph.value(v).type);
      g.value(it->second).constant = graph.value(v).constant;
    }
    return it->second;
  };
  ValueId replaced = kNoValue;
  for (std::size_t i = 0; i < piece.inputs.size(); ++i) {
    // Types come from the tensors of the run: what the model declares may name other sizes.
    const ValueId v = piece.inputs[i];
    ValueType type;
    type.dtype = graph.value(v).type.dtype;
    if (first >= 0 && i == 0) {
      replaced = g.add_value("codes of " + graph.value(v).name, type);
      g.inputs.push_back(replaced);
      continue;
    }
    const ValueId id = copy_value(v);
    g.value(id).type = graph.value(v).type;
    g.inputs.push_back(id);
  }
  for (const std::int32_t n : piece.nodes) {
    Node node = graph.nodes[static_cast<std::size_t>(n)];
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == kNoValue) continue;
      node.inputs[i] = n == first && i == 0 ? replaced : copy_value(node.inputs[i]);
    }
    for (ValueId& out : node.outputs)
      if (out != kNoValue) out = copy_value(out);
    g.nodes.push_back(std::move(node));
  }
  for (const ValueId v : piece.outputs) g.outputs.push_back(copy_value(v));
  if (replaced != kNoValue) g.value(replaced).type = graph.value(piece.inputs[0]).type;
  return g;
}

}  // namespace intact
