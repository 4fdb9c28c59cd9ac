// eliminate_dead_code: drops the nodes that no graph output depends on, and the values that nothing
// refers to.
//
// Exporters leave them (training branches, unused heads), and every other pass relies on this one
// to sweep up. Graph inputs stay even when unused: they are the caller's interface.
#include <vector>

#include "passes/registry.h"

namespace intact {

Status eliminate_dead_code(Graph& graph, PassContext&) {
  const Uses uses = graph.uses();
  std::vector<bool> alive(graph.nodes.size(), false);
  std::vector<std::int32_t> todo;
  const auto need = [&](ValueId v) {
    if (v == kNoValue) return;
    const std::int32_t n = uses.producer[static_cast<std::size_t>(v)];
    if (n < 0 || alive[static_cast<std::size_t>(n)]) return;
    alive[static_cast<std::size_t>(n)] = true;
    todo.push_back(n);
  };
  for (const ValueId v : graph.outputs) need(v);
  while (!todo.empty()) {
    const Node& node = graph.nodes[static_cast<std::size_t>(todo.back())];
    todo.pop_back();
    for (const ValueId v : node.inputs) need(v);
  }
  for (std::size_t n = 0; n < graph.nodes.size(); ++n)
    if (!alive[n]) graph.nodes[n].op.clear();
  INTACT_TRY(graph.sort());
  graph.compact();
  return {};
}

}  // namespace intact
