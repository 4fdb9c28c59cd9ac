#include "calib/chunks.h"

#include <algorithm>
#include <set>

#include "passes/shape_analysis.h"

namespace intact {
namespace {

bool is_index_type(Dtype dtype) { return is_integer(dtype) || dtype == Dtype::kBool; }

// Values that follow from shapes and constants alone, of whatever type.
std::vector<bool> find_shape_values(const Graph& graph) {
  std::vector<bool> follows(graph.values.size(), false);
  for (const Node& node : graph.nodes) {
    bool all = node.op == "Shape" || node.op == "Size";
    if (!all) {
      all = true;
      for (const ValueId v : node.inputs)
        if (v != kNoValue && graph.constant(v) == nullptr)
          all = all && follows[static_cast<std::size_t>(v)];
    }
    for (const ValueId v : node.outputs)
      if (v != kNoValue) follows[static_cast<std::size_t>(v)] = all;
  }
  return follows;
}

}  // namespace

std::vector<Chunk> make_chunks(const Graph& graph, const Placement& placement) {
  const Uses uses = graph.uses();
  const ShapeAnalysis types(graph);
  const std::vector<bool> from_shapes = find_shape_values(graph);
  const auto producer = [&](ValueId v) { return uses.producer[static_cast<std::size_t>(v)]; };

  std::vector<Chunk> chunks;
  bool open = false;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const auto n = static_cast<std::int32_t>(i);
    const auto site = placement.site_of.find(n);
    if (!open || site != placement.site_of.end()) chunks.emplace_back();
    open = true;
    Chunk& chunk = chunks.back();
    if (site != placement.site_of.end()) chunk.site = static_cast<int>(site->second);
    chunk.piece.nodes.push_back(n);
    for (const ValueId out : graph.nodes[i].outputs)
      if (out != kNoValue && placement.tensor_of.contains(out)) chunk.becomes_codes.push_back(out);
    if (!chunk.becomes_codes.empty()) open = false;
  }

  std::set<ValueId> read_across;  // Values that some chunk takes from outside.
  for (Chunk& chunk : chunks) {
    const std::set<std::int32_t> own(chunk.piece.nodes.begin(), chunk.piece.nodes.end());
    std::set<std::int32_t> inside = own;
    std::vector<std::int32_t> open_nodes(own.begin(), own.end());
    std::set<ValueId> inputs;
    const std::int32_t first = chunk.site >= 0 ? chunk.piece.nodes[0] : -1;
    while (!open_nodes.empty()) {
      const std::int32_t n = open_nodes.back();
      open_nodes.pop_back();
      const Node& node = graph.nodes[static_cast<std::size_t>(n)];
      for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        const ValueId v = node.inputs[i];
        if (v == kNoValue || graph.constant(v) != nullptr || (n == first && i == 0)) continue;
        const std::int32_t made = producer(v);
        if (made >= 0 && inside.contains(made)) continue;
        if (made >= 0 &&
            (from_shapes[static_cast<std::size_t>(v)] || is_index_type(types[v].dtype))) {
          inside.insert(made);
          open_nodes.push_back(made);
        } else {
          inputs.insert(v);
        }
      }
    }
    chunk.piece.nodes.assign(inside.begin(), inside.end());
    if (first >= 0) {
      const ValueId x = placement.sites[static_cast<std::size_t>(chunk.site)].input;
      chunk.piece.inputs.push_back(x);
      read_across.insert(x);
    }
    for (const ValueId v : inputs) chunk.piece.inputs.push_back(v);
    read_across.insert(inputs.begin(), inputs.end());
    // What it makes itself; what later chunks do not read is dropped below.
    for (const std::int32_t n : own)
      for (const ValueId out : graph.nodes[static_cast<std::size_t>(n)].outputs)
        if (out != kNoValue) chunk.piece.outputs.push_back(out);
  }
  std::set<ValueId> later;
  for (auto chunk = chunks.rbegin(); chunk != chunks.rend(); ++chunk) {
    std::erase_if(chunk->piece.outputs, [&](ValueId v) { return !read_across.contains(v); });
    for (const ValueId v : chunk->piece.inputs)
      if (later.insert(v).second) chunk->last_read.push_back(v);
  }
  std::erase_if(chunks, [](const Chunk& c) { return c.piece.outputs.empty() && c.site < 0; });
  return chunks;
}

}  // namespace intact
