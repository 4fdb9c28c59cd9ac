// fuse_norm_codes: a layer normalization makes codes beside its reals.
//
//   y = LayerNormalization(x, s, b),  c = Q(y) or Chain(y, k) {Mul} that leaves codes
//     -> y, c = intact.LayerNormalization(x, s, b, k)
//
// where k is constant, a factor a column, and somebody reads y too: a residual branch takes reals
// where a product takes codes. Both are made while a row is in the first-level cache; the codes are
// those of the separate operators.

#include "passes/codes.h"
#include "passes/patterns.h"
#include "passes/registry.h"

namespace intact {
namespace {

bool is_layer_norm(const Graph& graph, const Node& node) {
  if (!node.is("LayerNormalization") && !node.is("LayerNormalization", "intact")) return false;
  const Tensor* scale = graph.constant(node.in(1));
  return node.outputs.size() == 1 && node.inputs.size() <= 3 && scale != nullptr &&
         scale->rank() == 1 && node.get_int("axis", -1) == -1;
}

struct Codes {
  Quant map;
  ValueId factor = kNoValue;
};

// What the reader of y makes of it, when it is codes of one map.
std::optional<Codes> codes_of(const Graph& graph, const Node& reader, ValueId y,
                              std::int64_t columns) {
  if (const auto map = quantize_map(graph, reader); map && reader.in(0) == y) return Codes{*map};
  const auto& map = graph.value(reader.out(0)).quant;
  const Tensor* factor = graph.constant(reader.in(1));
  if (!reader.is("Chain", "intact") || !map || map->scale.size() != 1 || reader.in(0) != y ||
      reader.inputs.size() != 2 || factor == nullptr || factor->dtype() != Dtype::kFloat32 ||
      factor->rank() != 1 || factor->size() != columns || !reader.has("chain") ||
      std::get<std::vector<std::string>>(reader.attributes.at("chain")) !=
          std::vector<std::string>{"Mul"})
    return std::nullopt;
  return Codes{*map, reader.in(1)};
}

void fuse(Editor& editor, std::int32_t n) {
  const Node node = editor.node(n);
  const ValueId y = node.out(0);
  if (!is_layer_norm(editor.graph(), node) || (editor.readers(y).size() < 2 && !editor.kept(y)))
    return;
  const std::int64_t columns = editor.graph().constant(node.in(1))->size();
  for (const std::int32_t r : editor.readers(y)) {
    const Node reader = editor.node(r);
    const auto codes = codes_of(editor.graph(), reader, y, columns);
    if (!codes || !annotate(editor.graph(), reader.out(0), codes->map)) continue;
    Node fused = intact_node(editor.graph(), "LayerNormalization",
                             {node.in(0), node.in(1), node.in(2), codes->factor});
    fused.name = node.name;
    fused.attributes = node.attributes;
    fused.outputs = {y, reader.out(0)};
    editor.erase(r);
    editor.rewrite(n, std::move(fused));
    return;
  }
}

}  // namespace

Status fuse_norm_codes(Graph& graph, PassContext&) {
  Editor editor(graph);
  const std::int32_t count = editor.num_nodes();
  for (std::int32_t n = 0; n < count; ++n) fuse(editor, n);
  return editor.finish();
}

}  // namespace intact
